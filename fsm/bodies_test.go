package fsm

import (
	"bytes"
	"strings"
)

// goldenCommands holds one command of each kind with every field set. Their bytes are in testdata/commands.
func goldenCommands() []Command {
	material := Material{
		ID: []byte{0xa1, 0xa2}, Domain: 3, Blob: []byte{0xb1, 0xb2, 0xb3}, Public: []byte{0xc1}, State: MaterialCurrent,
		AddedAt: 1001, RotatedAt: 1002, RotationType: "AUTOMATIC", Expires: true, ExpiresAt: 1003, Description: "first",
	}
	ref := KeyRef{"111122223333", "key-1"}
	quotas := Quotas{100_000, 50, 51, 25, 50_000, 32_768}
	account := Account{ID: "111122223333", CreatedAt: 1004, KeyCount: 7, Version: 8, Users: 1, Groups: 2, Roles: 3, Policies: 4}
	access := AccessKey{"AKIA1", "111122223333", "root", 3, []byte{0xd1}, true, 1005, 9}
	domain := DomainKey{Version: 3, ID: "domain-3", CreatedAt: 1006, Active: true, Wrapped: []WrappedDomain{{"node-1", []byte{0xe1}}}, Probe: []byte{0xe2}}
	key := Key{
		Account: "111122223333", ID: "key-1", Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "EXTERNAL", Manager: "CUSTOMER",
		MultiRegion: true, Description: "d", CreatedAt: 1007, Enabled: true, Policy: "{}", Tags: []Tag{{"k", "v"}},
		Materials: []Material{material}, Current: 0, Rotation: &Rotation{true, 365, 1009},
		PolicyVersion: 11, TagsVersion: 12, AliasVersion: 13, Version: 14, AliasCount: 15, GrantCount: 17,
		PolicyPrincipals: []PolicyPrincipal{{"arn:aws:iam::111122223333:user/u", "AIDA1"}},
	}
	pending := material
	pending.State = MaterialPendingRotation
	digest := bytes.Repeat([]byte{0xd4}, 32)
	node := Node{ID: "node-1", Address: "host:1", Transport: []byte{0x13}, Mechanism: 2, FeatureLevel: 1, JoinedAt: 1020, Version: 18}
	domain4 := domain
	domain4.Version, domain4.ID, domain4.Active = 4, "domain-4", false
	recovery := RecoveryKey{"recovery-1", []byte{0x14}, 4, 1023, 2}
	bodies := []Body{
		&TermStart{"node-1"},
		&InitRegion{Region{ClusterID: "cluster-1", Name: "us-east-1", Partition: "aws", CreatedAt: 1010, AuditKey: &material, HoldUntil: 1012}, quotas, account, access, domain},
		&SetQuotas{quotas},
		&PutAccount{account},
		&PutAccessKey{access},
		&DeleteAccessKey{"AKIA1"},
		&PutServiceKey{AccessKey{"AKIA9", "111122223333", "service/ssm", 3, []byte{0xc9}, true, 1024, 20}},
		&PutDomainKey{domain},
		&PutAuditHead{AuditHead{"node-1", 4, 5, []byte{0xf1}, "audit-1", []byte{0xf2}, 1011, true, []byte{0xf3}}},
		&PutAuthority{Authority{2, []byte{0x11}, 3, []byte{0x12}, 1017}},
		&PutJoinToken{JoinToken{Digest: digest, CreatedAt: 1018, ExpiresAt: 1019}},
		&AdmitNode{digest, digest, node},
		&PutNode{node},
		&WrapDomainKey{3, WrappedDomain{"node-1", []byte{0xe1}}},
		&ForgetNode{"node-1"},
		&BeginRotation{domain4, true, 1021, &recovery},
		&AdvanceRotation{4, RotationRewrapping},
		&Rewrap{4, []RewrapItem{{RewrapKeyMaterial, "111122223333", "key-1", []byte{0xa1}, 1022, 3, []byte{0xb5}}}},
		&ConfirmDestroyed{"node-1"},
		&PutRecoveryKey{recovery, []WrappedVersion{{3, []byte{0xe3}}}},
		&RemoveRecoveryKey{"recovery-1"},
		&OperatorEvent{"RecoverRegion"},
		&CreateKey{key},
		&SetDescription{ref, "new"},
		&SetEnabled{ref, true},
		&ScheduleDeletion{ref, 1012, 7},
		&CancelDeletion{ref},
		&DeleteKey{ref, 1012},
		&PutKeyPolicy{ref, "{}", key.PolicyPrincipals},
		&TagKey{ref, []Tag{{"k", "v"}, {"l", "w"}}},
		&UntagKey{ref, []string{"k", "l"}},
		&CreateAlias{"111122223333", "alias/a", "key-1"},
		&UpdateAlias{"111122223333", "alias/a", "key-1", "key-2"},
		&DeleteAlias{"111122223333", "alias/a", "key-1"},
		&SetRotation{ref, Rotation{true, 365, 1013}},
		&RotateKey{ref, []byte{0xa1}, material, "AUTOMATIC", 1014},
		&ImportMaterial{ref, pending, true},
		&DeleteMaterial{ref, []byte{0xa1}},
		&ExpireMaterial{ref, []byte{0xa1}, 1003},
		&RewrapMaterial{ref, []byte{0xa1}, 3, 4, []byte{0xb4}},
		&LastUsage{[]KeyUse{{"111122223333", "key-1", 1015, "Decrypt", "event-1", "request-1"}}},
		&CreateGrant{Grant{
			ID: grantID(1), Account: "111122223333", KeyID: "key-1",
			Grantee:    GrantPrincipal{"arn:aws:iam::111122223333:user/u", "AIDA1", "AROA1"},
			Retiring:   &GrantPrincipal{"arn:aws:iam::111122223333:user/v", "AIDA2", "AROA2"},
			Operations: GrantDecrypt | GrantDeriveSharedSecret, Constraint: &GrantConstraint{ConstraintEquals, []Pair{{"k", "v"}, {"l", "w"}}},
			Name: "n", IssuingAccount: "444455556666", CreatedAt: 1016, Parent: grantID(2), Version: 16,
		}},
		&DeleteGrant{ref, grantID(1), GrantRevoked},
		&PurgeGrants{ref},
		&PutIdentity{Identity{
			Account: "111122223333", Type: IdentityRole, ID: "AROA1", Name: "n", Path: "/a/", CreatedAt: 1017,
			Inline: []InlinePolicy{{"i", "{}"}}, Attached: []string{"ANPA1"}, Boundary: "ANPA2", Tags: []Tag{{"k", "v"}},
			Trust: "{}", TrustPrincipals: key.PolicyPrincipals, MaxSession: 3600, Description: "d", Version: 18, Members: 19,
		}, 20},
		&DeleteIdentity{"AROA1", 21},
		&PutManagedPolicy{ManagedPolicy{
			Account: "111122223333", ID: "ANPA1", Name: "n", Path: "/a/", Description: "d", CreatedAt: 1018, UpdatedAt: 1019,
			Versions: []PolicyVersion{{1, "{}", 1020}}, Default: 1, Last: 2, Tags: []Tag{{"k", "v"}}, Version: 22, Attachments: 23, Boundaries: 24,
		}, 25},
		&DeleteManagedPolicy{"ANPA1", 26},
		&SetAccessKeyStatus{"AKIA1", true},
		&PutOIDCProvider{OIDCProvider{
			Account: "111122223333", URL: "idp.example/a", ID: "OIDC1", CreatedAt: 1021, ClientIDs: []string{"c"},
			Thumbprints: []string{strings.Repeat("a1", 20)}, Keys: "{}", Tags: []Tag{{"k", "v"}}, Version: 27,
		}, 28},
		&DeleteOIDCProvider{"111122223333", "idp.example/a", 29},
	}
	bodies = append(bodies, goldenSetBodies()...)
	bodies = append(bodies, goldenHomeBodies()...)
	commands := make([]Command, len(bodies))
	for i, body := range bodies {
		commands[i] = Command{
			ID:      CommandID{0: 1, 15: byte(body.Kind())},
			Attempt: 2, Signature: [16]byte{0: 2, 15: byte(body.Kind())}, Time: now0,
			Reads: []Read{{DocAlias, "111122223333", "alias/a", 300}},
			Body:  body, Audit: []byte(`{"eventName":"X"}`),
		}
	}
	return commands
}

// unset lists fields that a command of the kind must leave at zero, or where zero is the value that means something.
var unset = map[string]bool{
	"PutJoinToken.Token.Node":         true,
	"PutJoinToken.Token.Key":          true,
	"BeginRotation.DomainKey.Active":  true,
	"CreateKey.Key.DeletionAt":        true,
	"CreateKey.Key.PendingWindowDays": true,
	"CreateKey.Key.OnDemandRotations": true,
	"CreateKey.Key.Current":           true,
	"CreateKey.Key.Set":               true,
	"InitRegion.Region.Restored":      true,
	"InitRegion.Region.Keys":          true,
	"InitRegion.Region.Reborn":        true,
	"InitRegion.Region.Whole":         true,
	"InitRegion.Region.Home":          true,
	"InitRegion.Region.Operator":      true,
	"InitRegion.Region.SharedFrom":    true,
	"InitRegion.Region.FollowersAt":   true,
	"InitRegion.Account.Local":        true,
	"PutAccount.Account.Local":        true,
	"PutOtherRegion.Region.Follows":   true,
	"PutOtherRegion.Region.Allowed":   true,
	"AdmitRegion.Region.Allowed":      true,
	"AdmitRegion.Region.Follows":      true,

	"PutRegionKeys.Keys.Sessions":    true,
	"PutSessionKey.Key.Until":        true,
	"PutOtherRegion.Region.Sessions": true,
	"AdmitRegion.Region.Sessions":    true,
	"PutOtherRegion.Region.Fence":    true,
	"PutOtherRegion.Region.Position": true,
	"PutOtherRegion.Region.HeardIn":  true,
	"PutOtherRegion.Region.HeardOf":  true,
	"PutOtherRegion.Region.Forgets":  true,
	"PutOtherRegion.Region.Lives":    true,
	"PutOtherRegion.Region.By":       true,
	"AdmitRegion.Region.Fence":       true,
	"AdmitRegion.Region.Position":    true,
	"AdmitRegion.Region.HeardIn":     true,
	"AdmitRegion.Region.HeardOf":     true,
	"AdmitRegion.Region.Forgets":     true,
	"AdmitRegion.Region.Lives":       true,
	"AdmitRegion.Region.By":          true,
	// Written before there was such a field.
	"MarkFeed.Lives":              true,
	"SyncKeys.Docs.Current":       true,
	"SyncKeys.Docs.Gone":          true,
	"SyncKeys.Docs.Refused":       true,
	"PutIdentity.Identity.Groups": true, // users only

	"SyncIdentities.Full":                   true, // of a part with what is gone
	"SyncIdentities.Rows.Accounts.Local":    true,
	"SyncIdentities.Rows.Identities.Groups": true,
	"SyncIdentities.Followers":              true, // TestFollowersOnTheWire
	"AdoptHome.Sync.Rows.Accounts.Local":    true,
	"AdoptHome.Sync.Rows.Identities.Groups": true,
	"AdoptHome.Sync.Followers":              true,
	"AdoptHome.Sync.Rows.Gone":              true,
}
