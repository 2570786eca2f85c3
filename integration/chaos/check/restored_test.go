package check

import "testing"

// TestRestoredRegion: what a region may have lost, and what not, when it was restored from an older state.
func TestRestoredRegion(t *testing.T) {
	const made = `
		1-2 CreateKey k -> ok @a
		3-4 DescribeKey k -> ok out:type=REPLICA out:state=Enabled @b
		5-6 DescribeKey k -> ok out:type=PRIMARY out:state=Enabled @a
		`
	const restored = `
		10-20 RegionRestored - -> ok @a
		30-40 RegionAlone - -> ok @a
		`
	judgements(t, RegionsName, Regions, []judgement{
		{"the primary is given away, and nobody learns", made + restored + `
			15-16 UpdatePrimaryRegion k in:to=b -> ok @a
			41-42 DescribeKey k -> ok out:type=PRIMARY @a`, ""},
		{"the primary is given away without a restore", made + `
			15-16 UpdatePrimaryRegion k in:to=b -> ok @a
			41-42 DescribeKey k -> ok out:type=PRIMARY @a`, "not linearizable"},
		{"the other has it, and the restored one too", made + restored + `
			15-16 UpdatePrimaryRegion k in:to=b -> ok @a
			31-32 DescribeKey k -> ok out:type=PRIMARY @b
			33-34 DescribeKey k -> ok out:type=PRIMARY @a
			35-36 DescribeKey k -> ok out:type=PRIMARY @b`, "not linearizable"},
		{"a key made since is gone", restored + `
			15-16 CreateKey j -> ok @a
			17-18 DescribeKey j -> ok out:type=REPLICA out:state=Enabled @b
			41-42 Decrypt j -> AccessDeniedException @a
			90-91 DescribeKey j in:final=1 -> NotFoundException @a`, ""},
		{"a key made before is gone", made + restored + `
			41-42 Decrypt k in:plaintext=p -> AccessDeniedException @a`, "is refused"},
		{"a key made afterwards is gone", restored + `
			41-42 CreateKey j -> ok @a
			43-44 Decrypt j -> AccessDeniedException @a`, "is refused"},
		{"encrypted too early", made + restored + `
			31-32 Encrypt k -> ok @a`, "heard from nobody"},
		{"encrypted when it knows", made + restored + `
			41-42 Encrypt k -> ok @a`, ""},
		{"its own state of a key goes back", made + restored + `
			15-16 ScheduleKeyDeletion k in:leaving=1 -> ok @a
			41-42 Encrypt k in:leaving=1 -> ok @a`, ""},
		{"another region's does not", made + restored + `
			15-16 ScheduleKeyDeletion k in:leaving=1 -> ok @b
			41-42 Encrypt k in:leaving=1 -> ok @b`, "not linearizable"},
	})
	judgements(t, IdentitiesName, Identities, []judgement{
		{"its sessions from before end", `
			1-2 CreateUser ann in:home=h -> ok out:id=U @h
			3-4 CreateAccessKey ann in:home=h -> ok out:accessKeyId=A @h
			5-6 PutUserPolicy ann in:home=h in:value=v -> ok @h` + restored + `
			41-42 Encrypt ann in:accessKeyId=A in:issuer=a in:trusted=1 in:begun=70 in:value=v -> UnrecognizedClientException @h`, ""},
		{"those of others do not", `
			1-2 CreateUser ann in:home=h -> ok out:id=U @h
			3-4 CreateAccessKey ann in:home=h -> ok out:accessKeyId=A @h
			5-6 PutUserPolicy ann in:home=h in:value=v -> ok @h` + restored + `
			41-42 Encrypt ann in:accessKeyId=A in:issuer=h in:trusted=1 in:begun=70 in:value=v -> UnrecognizedClientException @h`, "fits no state"},
	})
}
