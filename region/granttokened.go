package region

// Tokened is an Input with grant tokens.
type Tokened interface {
	// Tokens returns the tokens of the request, at most ten.
	Tokens() []string
}

// The inputs that carry grant tokens (spec 04 GT-03). A token of RetireGrant is the only one that does something.

// Tokens implements Tokened.
func (in *CreateGrantInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *DecryptInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *DeriveSharedSecretInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *DescribeKeyInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *EncryptInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GenerateDataKeyInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GenerateDataKeyWithoutPlaintextInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GenerateDataKeyPairInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GenerateDataKeyPairWithoutPlaintextInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GenerateMacInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *GetPublicKeyInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *ReEncryptInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *SignInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *VerifyInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *VerifyMacInput) Tokens() []string { return in.GrantTokens }

// Tokens implements Tokened.
func (in *RetireGrantInput) Tokens() []string {
	if !in.GrantToken.Set {
		return nil
	}
	return []string{in.GrantToken.Value}
}
