// Package shape holds the value types that the inputs and outputs of operations are made of, and the constraints of the
// KMS API model's named types.
//
// It guarantees that
//   - a sensitive value is a [Secret]: no verb of fmt, no slog handler and no encoder of the standard library shows it;
//     only package awsjson writes it, into the answer to the caller it belongs to;
//   - an [EncryptionContext] is canonical: sorted, without duplicate keys;
//   - "absent" and "empty" never look the same where the API tells them apart.
//
// # How the members of an operation are declared
//
// One convention, for inputs and outputs alike:
//
//	member is                             Go type                     absent is
//	always there (input: required)        T                           impossible (input: refused with a ValidationException)
//	optional scalar                       Opt[T]                      !Set
//	optional scalar with a default        T or Opt[T], tag default    impossible after decoding
//	structure                             *Struct                     nil
//	list                                  []T                         nil (a list without items is non-nil)
//	blob                                  Blob                        nil (a blob without bytes is non-nil)
//	blob or text that is sensitive        Secret                      !IsSet()
//	map of strings                        EncryptionContext           !IsSet() (reads like an empty one)
//
// where a scalar T is string, an enum of this package, bool, int32, int64, uint64 or time.Time. An output member of type T is
// always written, an Opt only if Set. Example:
//
//	type EncryptInput struct {
//		KeyId               string                                `wire:"KeyId,required" is:"KeyIdType"`
//		Plaintext           shape.Secret                          `wire:"Plaintext,required" is:"PlaintextType"`
//		EncryptionContext   shape.EncryptionContext               `wire:"EncryptionContext"`
//		GrantTokens         []string                              `wire:"GrantTokens,hidden" is:"GrantTokenList"`
//		EncryptionAlgorithm shape.EncryptionAlgorithmSpec         `wire:"EncryptionAlgorithm" default:"SYMMETRIC_DEFAULT"`
//		DryRun              bool                                  `wire:"DryRun" default:"false"`
//	}
//
// The tags are explained in package awsjson. `is` names a row of this package's table of types ([Lookup]), so that a constraint
// of the model is written once and not in every operation.
package shape
