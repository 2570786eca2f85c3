package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/trentkms/trent/integration/chaos/history"
)

func TestLifecycle(t *testing.T) {
	judgements(t, LifecycleName, Lifecycle, []judgement{
		{"uses around a disable", `
			1-2 Encrypt k -> ok
			3-6 DisableKey k -> ok
			4-5 Encrypt k -> DisabledException
			4-5 Sign k -> ok
			7-8 Encrypt k -> DisabledException
			9-10 EnableKey k -> ok
			11-12 Decrypt k -> ok`, ""},
		{"a use after an acknowledged disable", `
			1-2 DisableKey k -> ok
			3-4 Decrypt k -> ok`, "not linearizable"},
		{"a refusal without a cause", `
			1-2 Encrypt k -> DisabledException`, "not linearizable"},
		{"a refusal of another kind", `
			1-2 Encrypt k -> AccessDeniedException`, "not linearizable"},
		{"a node that is late", `
			1-2 DisableKey k -> ok
			3-4 Encrypt k -> DisabledException @n2
			5-6 Encrypt k -> ok @n3`, "not linearizable"},
		{"a disable of unknown outcome may happen", `
			1-? DisableKey k
			3-4 Encrypt k -> ok
			5-6 Encrypt k -> DisabledException`, ""},
		{"or not", `
			1-? DisableKey k
			3-4 Encrypt k -> ok
			5-6 Encrypt k -> ok`, ""},
		{"but not twice", `
			1-? DisableKey k
			3-4 Encrypt k -> DisabledException
			5-6 EnableKey k -> ok
			7-8 Encrypt k -> DisabledException`, "not linearizable"},
		{"a lost description", `
			1-2 UpdateKeyDescription k in:value=a -> ok
			3-4 DescribeKey k -> ok out:state=Enabled out:description=`, "not linearizable"},
		{"a description of a lost answer", `
			1-2 UpdateKeyDescription k in:value=a -> ok
			3-? UpdateKeyDescription k in:value=b
			4-5 DescribeKey k -> ok out:state=Enabled out:description=a
			6-7 DescribeKey k -> ok out:state=Enabled out:description=b`, ""},
		{"which does not come and go", `
			1-2 UpdateKeyDescription k in:value=a -> ok
			3-? UpdateKeyDescription k in:value=b
			4-5 DescribeKey k -> ok out:state=Enabled out:description=b
			6-7 DescribeKey k -> ok out:state=Enabled out:description=a`, "not linearizable"},
		{"a deletion and its end", `
			1-2 ScheduleKeyDeletion k in:earliest=1000 -> ok out:deletion=604801000
			3-4 Encrypt k -> KMSInvalidStateException
			3-4 DescribeKey k -> ok out:state=PendingDeletion
			5-6 CancelKeyDeletion k -> ok
			7-8 Encrypt k -> DisabledException
			9-10 CancelKeyDeletion k -> KMSInvalidStateException`, ""},
		{"a deletion too early", `
			1-2 ScheduleKeyDeletion k in:earliest=1000 -> ok out:deletion=604800999`, "before its waiting period"},
		{"a tag and a policy", `
			1-2 TagResource k in:value=a -> ok
			1-2 PutKeyPolicy k in:value=p -> ok
			3-4 ListResourceTags k -> ok out:value=a
			3-4 GetKeyPolicy k -> ok out:value=p`, ""},
		{"a policy that went back", `
			1-2 PutKeyPolicy k in:value=p -> ok
			3-4 PutKeyPolicy k in:value=q -> ok
			5-6 GetKeyPolicy k -> ok out:value=p`, "not linearizable"},
		{"failures say nothing", `
			1-2 DisableKey k -> failed
			3-4 Encrypt k -> failed
			5-6 Encrypt k -> ok`, ""},
	})
}

func TestRights(t *testing.T) {
	const begin = `
		0-0 CreateAccessKey - in:principal=ann -> ok out:accessKeyId=A1
		`
	const use = " in:principal=ann in:accessKeyId=A1 "
	judgements(t, RightsName, Rights, []judgement{
		{"each way to a right", begin + `
			1-2 Encrypt k` + use + `-> AccessDeniedException
			3-4 PutKeyPolicy k in:policy=ann=allow,bob=deny -> ok
			5-6 Encrypt k` + use + `-> ok
			7-8 PutKeyPolicy k in:policy= -> ok
			9-10 CreateGrant k in:principal=ann in:grant=g1 -> ok
			11-12 Encrypt k` + use + `-> ok
			13-14 RevokeGrant k in:principal=ann in:grant=g1 -> ok
			15-16 Encrypt k` + use + `-> AccessDeniedException
			17-18 PutUserPolicy - in:principal=ann in:keys=j,k -> ok
			19-20 Encrypt k` + use + `-> ok`, ""},
		{"a use after a revocation", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-4 RevokeGrant k in:principal=ann in:grant=g1 -> ok
			5-6 Decrypt k` + use + `-> ok @n3`, "not linearizable"},
		{"a grant that is lost", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			5-6 Decrypt k` + use + `-> AccessDeniedException`, "not linearizable"},
		{"a grant missing in a list", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-4 ListGrants k in:principal=ann -> ok out:grants=`, "not linearizable"},
		{"a grant revoked twice", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-4 RevokeGrant k in:principal=ann in:grant=g1 -> ok
			5-6 RetireGrant k in:principal=ann in:grant=g1 -> ok`, "not linearizable"},
		{"a revocation of unknown outcome", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-? RevokeGrant k in:principal=ann in:grant=g1
			5-6 Decrypt k` + use + `-> ok
			7-8 Decrypt k` + use + `-> AccessDeniedException
			9-10 RevokeGrant k in:principal=ann in:grant=g1 -> NotFoundException`, ""},
		{"a denial wins", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-4 PutKeyPolicy k in:policy=ann=deny -> ok
			5-6 Decrypt k` + use + `-> ok`, "not linearizable"},
		{"a policy of another principal", begin + `
			1-2 PutKeyPolicy k in:policy=bob=allow -> ok
			3-4 Decrypt k` + use + `-> ok`, "not linearizable"},
		{"a deleted access key", begin + `
			1-2 PutKeyPolicy k in:policy=ann=allow -> ok
			3-4 DeleteAccessKey - in:principal=ann in:accessKeyId=A1 -> ok
			5-6 Decrypt k` + use + `-> ok`, "not linearizable"},
		{"is unknown", begin + `
			1-2 PutKeyPolicy k in:policy=ann=allow -> ok
			3-4 DeleteAccessKey - in:principal=ann in:accessKeyId=A1 -> ok
			5-6 Decrypt k` + use + `-> UnrecognizedClientException`, ""},
		{"a write under way when its right is taken", begin + `
			1-2 PutKeyPolicy k in:policy=ann=allow -> ok
			3-9 TagResource k` + use + `in:value=x -> ok
			4-5 PutKeyPolicy k in:policy= -> ok
			6-7 ListResourceTags k in:principal=ann -> ok out:value=x`, ""},
		{"must not be seen to come after", begin + `
			1-2 PutKeyPolicy k in:policy=ann=allow -> ok
			3-9 TagResource k` + use + `in:value=x -> ok
			4-5 PutKeyPolicy k in:policy= -> ok
			6-7 ListResourceTags k in:principal=ann -> ok out:value=`, "not linearizable"},
		{"even if its answer is lost", begin + `
			1-2 PutKeyPolicy k in:policy=ann=allow -> ok
			3-? TagResource k` + use + `in:value=x
			4-5 PutKeyPolicy k in:policy= -> ok
			6-7 ListResourceTags k in:principal=ann -> ok out:value=
			8-9 ListResourceTags k in:principal=ann -> ok out:value=x`, "not linearizable"},
		{"a write by a grant", begin + `
			1-2 CreateGrant k in:principal=ann in:grant=g1 -> ok
			3-4 TagResource k` + use + `in:value=x -> ok`, "not linearizable"},
		{"an identity policy on another key", begin + `
			1-2 PutUserPolicy - in:principal=ann in:keys=j -> ok
			3-4 Decrypt k` + use + `-> ok`, "not linearizable"},
	})
}

func TestAliases(t *testing.T) {
	judgements(t, AliasesName, Aliases, []judgement{
		{"a race", `
			1-5 CreateAlias a in:target=x -> ok
			1-5 CreateAlias a in:target=y -> AlreadyExistsException
			6-7 DescribeKey a -> ok out:target=x
			8-9 UpdateAlias a in:target=y -> ok
			10-11 Encrypt a -> ok out:target=y
			10-11 ListAliases a in:target=y -> ok out:listed=yes
			10-11 ListAliases a in:target=x -> ok out:listed=no
			12-13 DeleteAlias a -> ok
			14-15 DescribeKey a -> NotFoundException`, ""},
		{"two winners", `
			1-5 CreateAlias a in:target=x -> ok
			1-5 CreateAlias a in:target=y -> ok`, "not linearizable"},
		{"no winner", `
			1-5 CreateAlias a in:target=x -> AlreadyExistsException`, "not linearizable"},
		{"an old target", `
			1-2 CreateAlias a in:target=x -> ok
			3-4 UpdateAlias a in:target=y -> ok
			5-6 Encrypt a -> ok out:target=x @n2`, "not linearizable"},
		{"a lost answer explains", `
			1-? CreateAlias a in:target=x
			3-4 CreateAlias a in:target=y -> AlreadyExistsException
			5-6 DescribeKey a -> ok out:target=x`, ""},
		{"but not everything", `
			1-? CreateAlias a in:target=x
			3-4 CreateAlias a in:target=y -> ok
			5-6 DescribeKey a -> ok out:target=x`, "not linearizable"},
		{"a stale list", `
			1-2 CreateAlias a in:target=x -> ok
			3-4 ListAliases a in:target=x -> ok out:listed=no`, "not linearizable"},
	})
}

func TestRotation(t *testing.T) {
	judgements(t, RotationName, Rotation, []judgement{
		{"a turn", `
			1-2 GenerateDataKey k -> ok out:material=m0
			3-6 RotateKeyOnDemand k -> ok
			4-5 GenerateDataKey k -> ok out:material=m1
			4-5 GenerateDataKey k -> ok out:material=m0
			7-8 Decrypt k in:material=m0 -> ok out:material=m0
			9-10 ListKeyRotations k -> ok out:materials=m0,m1`, ""},
		{"old material after an acknowledged turn", `
			1-2 RotateKeyOnDemand k -> ok
			3-4 GenerateDataKey k -> ok out:material=m0 @n3
			9-10 ListKeyRotations k -> ok out:materials=m0,m1`, "not linearizable"},
		{"a lost turn", `
			1-2 RotateKeyOnDemand k -> ok
			9-10 ListKeyRotations k -> ok out:materials=m0`, "0 rotations; 1 were acknowledged"},
		{"a turn done twice", `
			1-2 RotateKeyOnDemand k -> ok
			9-10 ListKeyRotations k -> ok out:materials=m0,m1,m2`, "2 rotations; 1 were acknowledged and 0 more"},
		{"a turn of unknown outcome happened", `
			1-? RotateKeyOnDemand k
			3-4 GenerateDataKey k -> ok out:material=m0
			5-6 GenerateDataKey k -> ok out:material=m1
			9-10 ListKeyRotations k -> ok out:materials=m0,m1`, ""},
		{"or did not", `
			1-? RotateKeyOnDemand k
			5-6 GenerateDataKey k -> ok out:material=m0
			9-10 ListKeyRotations k -> ok out:materials=m0`, ""},
		{"material that goes back", `
			1-? RotateKeyOnDemand k
			3-4 DescribeKey k -> ok out:material=m1
			5-6 DescribeKey k -> ok out:material=m0
			9-10 ListKeyRotations k -> ok out:materials=m0,m1`, "not linearizable"},
		{"an old ciphertext is refused", `
			5-6 Decrypt k in:material=m0 -> KMSInvalidStateException
			9-10 ListKeyRotations k -> ok out:materials=m0`, "not linearizable"},
		{"a list that misses one", `
			1-2 RotateKeyOnDemand k -> ok
			3-4 ListKeyRotations k -> ok out:materials=m0 @n2
			9-10 ListKeyRotations k -> ok out:materials=m0,m1`, "not linearizable"},
		{"a limit before it is reached", `
			1-2 RotateKeyOnDemand k -> LimitExceededException
			9-10 ListKeyRotations k -> ok out:materials=m0`, "not linearizable"},
		{"no list", `
			1-2 DescribeKey k -> ok out:material=m0`, "no list"},
	})
}

func TestImports(t *testing.T) {
	judgements(t, ImportsName, Imports, []judgement{
		{"a life", `
			1-2 Encrypt k in:earliest=1 in:latest=2 -> KMSInvalidStateException
			3-4 ImportKeyMaterial k in:label=a in:validTo=100 in:earliest=3 in:latest=4 -> ok
			5-6 Encrypt k in:earliest=50 in:latest=60 -> ok
			7-8 Encrypt k in:earliest=95 in:latest=105 -> ok
			7-8 Encrypt k in:earliest=95 in:latest=105 -> KMSInvalidStateException
			9-10 Decrypt k in:earliest=110 in:latest=120 -> KMSInvalidStateException
			9-10 DescribeKey k in:earliest=110 in:latest=120 -> ok out:state=PendingImport
			11-12 ImportKeyMaterial k in:label=b in:validTo=0 in:earliest=120 in:latest=130 -> IncorrectKeyMaterialException
			13-14 ImportKeyMaterial k in:label=a in:validTo=0 in:earliest=130 in:latest=140 -> ok
			15-16 Decrypt k in:earliest=150 in:latest=160 -> ok`, ""},
		{"a use after expiry", `
			3-4 ImportKeyMaterial k in:label=a in:validTo=100 in:earliest=3 in:latest=4 -> ok
			9-10 Decrypt k in:earliest=101 in:latest=120 -> ok`, "not linearizable"},
		{"a refusal before expiry", `
			3-4 ImportKeyMaterial k in:label=a in:validTo=100 in:earliest=3 in:latest=4 -> ok
			9-10 Decrypt k in:earliest=50 in:latest=60 -> KMSInvalidStateException`, "not linearizable"},
		{"a use after deletion", `
			3-4 ImportKeyMaterial k in:label=a in:validTo=0 in:earliest=3 in:latest=4 -> ok
			5-6 DeleteImportedKeyMaterial k -> ok
			9-10 Decrypt k in:earliest=50 in:latest=60 -> ok`, "not linearizable"},
		{"a deletion of unknown outcome", `
			3-4 ImportKeyMaterial k in:label=a in:validTo=0 in:earliest=3 in:latest=4 -> ok
			5-? DeleteImportedKeyMaterial k
			7-8 Decrypt k in:earliest=50 in:latest=60 -> ok
			9-10 Decrypt k in:earliest=60 in:latest=70 -> KMSInvalidStateException`, ""},
		{"other material", `
			3-4 ImportKeyMaterial k in:label=a in:validTo=0 in:earliest=3 in:latest=4 -> ok
			5-6 ImportKeyMaterial k in:label=b in:validTo=0 in:earliest=3 in:latest=4 -> ok`, "not linearizable"},
	})
}

func TestQuotas(t *testing.T) {
	judgements(t, QuotasName, func(ops []history.Op) []Anomaly { return Quotas(ops, 1) }, []judgement{
		{"one place", `
			1-4 TagResource k in:tag=a -> ok
			1-4 TagResource k in:tag=b -> TagException
			5-6 TagResource k in:tag=a -> ok
			7-8 UntagResource k in:tag=a -> ok
			9-10 ListResourceTags k -> ok out:tags=`, ""},
		{"exceeded", `
			1-4 TagResource k in:tag=a -> ok
			1-4 TagResource k in:tag=b -> ok`, "not linearizable"},
		{"refused too early", `
			1-4 TagResource k in:tag=b -> TagException`, "not linearizable"},
		{"taken by one whose answer was lost", `
			1-? TagResource k in:tag=a
			2-4 TagResource k in:tag=b -> TagException`, ""},
	})
}

func TestRegions(t *testing.T) {
	judgements(t, RegionsName, Regions, []judgement{
		{"each region's deletion is its own", `
			1-2 ScheduleKeyDeletion k in:leaving=1 -> ok @r1
			3-4 Encrypt k in:leaving=1 -> KMSInvalidStateException @r1
			3-4 Encrypt k in:leaving=1 -> ok @r2
			5-6 CancelKeyDeletion k in:leaving=1 -> ok @r1
			7-8 Encrypt k in:leaving=1 -> DisabledException @r1
			9-10 EnableKey k in:leaving=1 -> ok @r1
			11-12 Encrypt k in:leaving=1 -> ok @r1`, ""},
		{"a deletion that another region takes back", `
			1-2 ScheduleKeyDeletion k in:leaving=1 -> ok @r1
			3-4 CancelKeyDeletion k in:leaving=1 -> KMSInvalidStateException @r2
			5-6 Encrypt k in:leaving=1 -> ok @r1`, "not linearizable"},
		{"a change of the primary", `
			1-2 CreateKey k -> ok @r1
			3-4 DescribeKey k -> ok out:type=PRIMARY @r1
			5-9 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			6-7 DescribeKey k -> ok out:type=REPLICA @r2
			10-11 DescribeKey k -> ok out:type=PRIMARY @r2
			12-13 DescribeKey k in:final=1 -> ok out:type=PRIMARY out:shared=x @r2
			12-13 DescribeKey k in:final=1 -> ok out:type=REPLICA out:shared=x @r1`, ""},
		{"two primaries", `
			1-2 CreateKey k -> ok @r1
			5-? UpdatePrimaryRegion k in:to=r2 @r1
			10-11 DescribeKey k -> ok out:type=PRIMARY @r2
			12-13 DescribeKey k -> ok out:type=PRIMARY @r1`, "not linearizable"},
		{"a stale primary", `
			1-2 CreateKey k -> ok @r1
			5-9 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			10-11 DescribeKey k -> ok out:type=PRIMARY @r1`, "not linearizable"},
		{"a change of unknown outcome", `
			1-2 CreateKey k -> ok @r1
			5-? UpdatePrimaryRegion k in:to=r2 @r1
			6-7 DescribeKey k -> ok out:type=PRIMARY @r1
			10-11 DescribeKey k -> ok out:type=PRIMARY @r2`, ""},
		{"the same change again, while its end is not known yet", `
			1-2 CreateKey k -> ok @r1
			3-4 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			5-6 UpdatePrimaryRegion k in:to=r3 -> ok @r2
			7-8 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			9-10 DescribeKey k -> ok out:type=PRIMARY @r3`, ""},
		{"a change by a region that gave the primary elsewhere", `
			1-2 CreateKey k -> ok @r1
			3-4 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			5-6 UpdatePrimaryRegion k in:to=r3 -> ok @r1`, "not linearizable"},
		{"a rotation by an old primary", `
			1-2 CreateKey k -> ok @r1
			3-4 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			5-6 RotateKeyOnDemand k -> ok @r1`, "not linearizable"},
		{"a rotation while the primary moves", `
			1-2 CreateKey k -> ok @r1
			3-9 UpdatePrimaryRegion k in:to=r2 -> ok @r1
			4-8 RotateKeyOnDemand k -> ok @r1
			5-8 ReplicateKey k -> NotFoundException @r2`, ""},
		{"a healed region that does not open", `
			1-2 CreateKey k -> ok @r1
			3-4 Decrypt k in:final=1 -> failed @r2`, "not answered"},
		{"a healed region that answers when asked again", `
			1-2 CreateKey k -> ok @r1
			3-4 Decrypt k in:final=1 -> failed @r2
			5-6 Decrypt k in:final=1 -> ok @r2`, ""},
		{"no agreement", `
			1-2 CreateKey k -> ok @r1
			12-13 DescribeKey k in:final=1 -> ok out:type=PRIMARY out:shared=x @r1
			12-13 DescribeKey k in:final=1 -> ok out:type=REPLICA out:shared=y @r2`, "regions differ"},
		{"a ciphertext that does not open elsewhere", `
			1-2 CreateKey k -> ok @r1
			3-4 Decrypt k in:plaintext=p -> InvalidCiphertextException @r2`, "is refused"},
	})
}

// TestManyUnknown holds that the search ends with as many unknown outcomes as the workloads let a key have, and many clients.
func TestManyUnknown(t *testing.T) {
	var b strings.Builder
	at := 1
	for round := range 60 {
		for client := range 8 {
			fmt.Fprintf(&b, "%d-%d Encrypt k -> %s\n", at+client%3, at+6, []string{"ok", "DisabledException"}[(round+client)%2])
		}
		fmt.Fprintf(&b, "%d-%d DisableKey k -> ok\n%d-%d EnableKey k -> ok\n", at, at+6, at, at+6)
		if round%12 == 0 {
			fmt.Fprintf(&b, "%d-? %s k\n", at, []string{"DisableKey", "UpdateKeyDescription"}[round/12%2])
		}
		at += 8
	}
	// The end of each round is open: what it left is read by whoever comes next.
	if all := Lifecycle(script(t, LifecycleName, b.String())); len(all) > 0 {
		t.Error(all)
	}
}
