package check

import "testing"

func TestIdentities(t *testing.T) {
	const made = `
		1-2 CreateUser ann in:home=h -> ok out:id=U @h
		3-4 CreateAccessKey ann in:home=h -> ok out:accessKeyId=A @h
		5-6 CreateRole ann in:home=h -> ok out:id=R @h
		7-8 PutUserPolicy ann in:home=h in:value=v1 -> ok @h
		9-10 PutRolePolicy ann in:home=h in:value=w1 -> ok @h
		`
	const deleted = made + `
		20-21 DeleteAccessKey ann in:home=h in:accessKeyId=A -> ok @f
		`
	judgements(t, IdentitiesName, Identities, []judgement{
		{"a region that is late", made + `
			11-12 Encrypt ann in:accessKeyId=A in:value=v1 -> UnrecognizedClientException @g
			13-14 GetRole ann -> NoSuchEntity @g
			15-16 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @g`, ""},
		{"the home is never late", made + `
			11-12 Encrypt ann in:accessKeyId=A in:value=v1 -> UnrecognizedClientException @h`, "fits no state"},
		{"a region that goes back", made + `
			11-12 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @g
			13-14 GetUserPolicy ann -> NoSuchEntity @g`, "fits no state"},
		{"seen elsewhere first, at home not", `
			1-9 CreateUser ann in:home=h -> ok out:id=U @f
			2-3 ListAccessKeys ann -> ok out:keys= @g
			4-5 ListAccessKeys ann -> NoSuchEntity @h`, "fits no state"},
		{"used where its end was acknowledged", deleted + `
			22-23 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @f`, "fits no state"},
		{"used at home after its end", deleted + `
			22-23 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @h`, "fits no state"},
		{"used elsewhere after its end", deleted + `
			22-23 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @g
			24-25 Encrypt ann in:accessKeyId=A in:value=v1 -> UnrecognizedClientException @g`, ""},
		{"used elsewhere after it was seen to have ended", deleted + `
			24-25 Encrypt ann in:accessKeyId=A in:value=v1 -> UnrecognizedClientException @g
			26-27 GetUserPolicy ann -> ok out:value=v1 @g
			26-27 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @g`, ""}, // before the key was made, for all that is known
		{"used again after a later state was seen", deleted + `
			22-23 PutUserPolicy ann in:home=h in:value=v2 -> ok @h
			26-27 GetUserPolicy ann -> ok out:value=v2 @g
			28-29 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @g`, "fits no state"},
		{"used at the end", deleted + `
			90-91 Encrypt ann in:accessKeyId=A in:value=v1 in:final=1 -> ok @g`, "fits no state"},
		{"an earlier policy", made + `
			20-21 PutUserPolicy ann in:home=h in:value=v2 -> ok @f
			22-23 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @f`, "fits no state"},
		{"a policy before its time", made + `
			11-12 Encrypt ann in:accessKeyId=A in:value=v2 -> ok @g
			20-21 PutUserPolicy ann in:home=h in:value=v2 -> ok @f`, "fits no state"},
		{"a session after its access key", deleted + `
			22-23 Encrypt ann in:accessKeyId=A in:issuer=f in:trusted=1 in:role=R in:value=w1 -> ok @f`, "fits no state"},
		{"a session of a role that was made again", made + `
			20-21 DeleteRole ann in:home=h -> ok @h
			22-23 CreateRole ann in:home=h -> ok out:id=S @h
			24-25 PutRolePolicy ann in:home=h in:value=w1 -> ok @h
			26-27 Encrypt ann in:accessKeyId=A in:issuer=h in:trusted=1 in:role=R in:value=w1 -> ok @h`, "fits no state"},
		{"a session of a stranger", made + `
			11-12 Encrypt ann in:accessKeyId=A in:issuer=g in:role=R in:value=w1 -> ok @f`, "fits no state"},
		{"a change of unknown outcome", made + `
			20-? DeleteAccessKey ann in:home=h in:accessKeyId=A -> unknown @f
			22-23 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @f
			24-25 Encrypt ann in:accessKeyId=A in:value=v1 -> UnrecognizedClientException @h
			90-91 ListAccessKeys ann in:final=1 -> ok out:keys= @g`, ""},
		{"an access key that nobody was told", made + `
			20-? CreateAccessKey ann in:home=h -> unknown @f
			22-23 ListAccessKeys ann -> ok out:keys=A=Active @g
			24-25 ListAccessKeys ann -> ok out:keys=A=Active,B=Active @g`, ""},
		{"an access key of a first attempt", made + `
			20-21 CreateAccessKey ann in:home=h in:attempts=2 -> ok out:accessKeyId=C @f
			22-23 DeleteAccessKey ann in:home=h in:accessKeyId=A -> ok @f
			24-25 ListAccessKeys ann -> ok out:keys=B=Active,C=Active @f
			26-27 CreateAccessKey ann in:home=h -> LimitExceeded @f`, ""},
		{"two access keys that nobody was told", made + `
			20-? CreateAccessKey ann in:home=h -> unknown @f
			24-25 ListAccessKeys ann -> ok out:keys=A=Active,B=Active,C=Active @g`, "fits no state"},
		{"a change of unknown outcome is taken back", made + `
			20-? DeleteAccessKey ann in:home=h in:accessKeyId=A -> unknown @f
			24-25 ListAccessKeys ann -> ok out:keys= @h
			26-27 Encrypt ann in:accessKeyId=A in:value=v1 -> ok @h`, "fits no state"},
		{"signed by one that the home knows to have ended", deleted + `
			22-23 TagUser ann in:home=h in:accessKeyId=A -> ok @g`, "fits no state"},
		{"refused by a region that is late", made + `
			22-23 TagUser ann in:home=h in:accessKeyId=A -> InvalidClientTokenId @g`, ""},
		{"refused for no reason", made + `
			22-23 PutUserPolicy ann in:home=h in:value=v2 -> AccessDenied @f`, "fits no state"},
		{"taken for another call", `
			1-? CreateUser ann in:home=h in:fresh=1 -> EntityAlreadyExists @f`, "taken for another call"},
		{"made twice", `
			1-2 CreateUser c in:home=h in:contest=c -> ok @f
			1-2 CreateUser c in:home=h in:contest=c -> ok @g`, "made 2 times"},
		{"made once", `
			1-2 CreateUser c in:home=h in:contest=c -> ok @f
			1-2 CreateUser c in:home=h in:contest=c -> EntityAlreadyExists @g`, ""},
		{"made by nobody", `
			1-2 CreateUser c in:home=h in:contest=c -> EntityAlreadyExists @g`, "made 0 times"},
		{"decided while cut off", made + `
			30-50 RegionsParted - -> ok
			35-36 PutUserPolicy ann in:home=h in:value=v2 -> ok @f`, "cut from the home"},
		{"without the home's name", made + `
			30-50 RegionsParted - -> ok
			35-? PutUserPolicy ann in:home=h in:value=v2 in:said=try_again -> ServiceUnavailable @f`, "without naming it"},
		{"nobody served while cut off", made + `
			30-50 RegionsParted - -> ok
			35-36 Encrypt ann in:accessKeyId=A in:value=v1 -> failed @f`, "authenticated nobody"},
		{"not answered at the end", made + `
			90-91 GetRole ann in:final=1 -> failed @g`, "not answered"},
	})
}
