package fsm

// Kind implements Body.
func (TermStart) Kind() Kind        { return KindTermStart }
func (InitRegion) Kind() Kind       { return KindInitRegion }
func (SetQuotas) Kind() Kind        { return KindSetQuotas }
func (PutAccount) Kind() Kind       { return KindPutAccount }
func (PutAccessKey) Kind() Kind     { return KindPutAccessKey }
func (DeleteAccessKey) Kind() Kind  { return KindDeleteAccessKey }
func (PutDomainKey) Kind() Kind     { return KindPutDomainKey }
func (PutAuditHead) Kind() Kind     { return KindAuditHead }
func (CreateKey) Kind() Kind        { return KindCreateKey }
func (SetDescription) Kind() Kind   { return KindSetDescription }
func (SetEnabled) Kind() Kind       { return KindSetEnabled }
func (ScheduleDeletion) Kind() Kind { return KindScheduleDeletion }
func (CancelDeletion) Kind() Kind   { return KindCancelDeletion }
func (DeleteKey) Kind() Kind        { return KindDeleteKey }
func (PutKeyPolicy) Kind() Kind     { return KindPutKeyPolicy }
func (TagKey) Kind() Kind           { return KindTagKey }
func (UntagKey) Kind() Kind         { return KindUntagKey }
func (CreateAlias) Kind() Kind      { return KindCreateAlias }
func (UpdateAlias) Kind() Kind      { return KindUpdateAlias }
func (DeleteAlias) Kind() Kind      { return KindDeleteAlias }
func (SetRotation) Kind() Kind      { return KindSetRotation }
func (RotateKey) Kind() Kind        { return KindRotateKey }
func (ImportMaterial) Kind() Kind   { return KindImportMaterial }
func (DeleteMaterial) Kind() Kind   { return KindDeleteMaterial }
func (ExpireMaterial) Kind() Kind   { return KindExpireMaterial }
func (RewrapMaterial) Kind() Kind   { return KindRewrapMaterial }
func (LastUsage) Kind() Kind        { return KindLastUsage }
func (CreateGrant) Kind() Kind      { return KindCreateGrant }
func (DeleteGrant) Kind() Kind      { return KindDeleteGrant }
func (PurgeGrants) Kind() Kind      { return KindPurgeGrants }

// Kind implements Body.
func (PutIdentity) Kind() Kind         { return KindPutIdentity }
func (DeleteIdentity) Kind() Kind      { return KindDeleteIdentity }
func (PutManagedPolicy) Kind() Kind    { return KindPutManagedPolicy }
func (DeleteManagedPolicy) Kind() Kind { return KindDeleteManagedPolicy }
func (SetAccessKeyStatus) Kind() Kind  { return KindSetAccessKeyStatus }
