package fsm

// goldenCommands holds one command of each kind with every field set. Their bytes are in testdata/commands.
func goldenCommands() []Command {
	material := Material{
		ID: []byte{0xa1, 0xa2}, Domain: 3, Blob: []byte{0xb1, 0xb2, 0xb3}, Public: []byte{0xc1}, State: MaterialCurrent,
		AddedAt: 1001, RotatedAt: 1002, RotationType: "AUTOMATIC", Expires: true, ExpiresAt: 1003, Description: "first",
	}
	ref := KeyRef{"111122223333", "key-1"}
	quotas := Quotas{100_000, 50, 51, 25, 50_000, 32_768}
	account := Account{ID: "111122223333", CreatedAt: 1004, KeyCount: 7, Version: 8}
	access := AccessKey{"AKIA1", "111122223333", "root", 3, []byte{0xd1}, true, 1005, 9}
	domain := DomainKey{Version: 3, ID: "domain-3", CreatedAt: 1006, Active: true, Wrapped: []WrappedDomain{{"node-1", []byte{0xe1}}}, Probe: []byte{0xe2}}
	key := Key{
		Account: "111122223333", ID: "key-1", Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "EXTERNAL", Manager: "CUSTOMER",
		MultiRegion: true, Description: "d", CreatedAt: 1007, Enabled: true, Policy: "{}", Tags: []Tag{{"k", "v"}},
		Materials: []Material{material}, Current: 0, Rotation: &Rotation{true, 365, 1009},
		PolicyVersion: 11, TagsVersion: 12, AliasVersion: 13, Version: 14, AliasCount: 15,
	}
	pending := material
	pending.State = MaterialPendingRotation
	bodies := []Body{
		&TermStart{"node-1"},
		&InitRegion{Region{"cluster-1", "us-east-1", "aws", 1010, &material}, quotas, account, access, domain},
		&SetQuotas{quotas},
		&PutAccount{account},
		&PutAccessKey{access},
		&DeleteAccessKey{"AKIA1"},
		&PutDomainKey{domain},
		&PutAuditHead{AuditHead{"node-1", 4, 5, []byte{0xf1}, "audit-1", []byte{0xf2}, 1011, true, []byte{0xf3}}},
		&CreateKey{key},
		&SetDescription{ref, "new"},
		&SetEnabled{ref, true},
		&ScheduleDeletion{ref, 1012, 7},
		&CancelDeletion{ref},
		&DeleteKey{ref, 1012},
		&PutKeyPolicy{ref, "{}"},
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
	}
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
	"CreateKey.Key.DeletionAt":        true,
	"CreateKey.Key.PendingWindowDays": true,
	"CreateKey.Key.OnDemandRotations": true,
	"CreateKey.Key.Current":           true,
}
