// Package awsjson is the codec of the AWS JSON 1.1 protocol (spec 10, section 1): request bodies to Go structs, the model's
// constraints to ValidationException texts, answers and errors to bodies, and the parts of both that an audit record shows.
//
// It guarantees that
//   - a body is read once, by a strict parser: malformed JSON, invalid UTF-8, unpaired surrogates, members or map keys that occur
//     twice, wrong types and bad base64 are a [SerializationError]; depth, list length and memory are bounded by the input;
//   - all violated constraints of a request come in one [ValidationError], worded and ordered as the service does
//     (PROTO-33 to PROTO-38), without the value of anything sensitive or hidden;
//   - a sensitive member leaves the process through [Shape.Append] alone: a [Selection] for the audit that names one does not
//     compile, and no error shows one.
//
// # Declaring a shape
//
// An input or output is a struct whose exported fields all carry a `wire` tag; the order of fields is the order of members in
// the model, which is the order of messages. Which Go type a member has is explained in package shape. [Compile] reads the
// tags once, when the table of operations is built, and panics if one of them is wrong.
//
//	wire:"KeyId"            name of the member, exactly as on the wire; "-" keeps a field out
//	wire:"KeyId,required"   absent or null: "Member must not be null"
//	wire:"X,hidden"         not a Secret, yet never shown in messages or audit records (spec 03 AUD-30, AUD-32): grant tokens
//	wire:"X,text"           a Secret that is text on the wire; without it, and unless is:"..." names a string, it is base64
//	wire:"X,clear"          the model's type is sensitive, this use of it is not, so the field need not be a Secret
//	wire:",inline"          the members of the field's struct, in this place: what several shapes have in common
//	is:"KeyIdType"          takes the constraints of that row of shape.Lookup; the tags below override single ones
//	len:"1..2048"           length, inclusive: characters of a string, decoded bytes of a blob or Secret; "1.." and "..64" are
//	                        open. On a list it is the length of each item
//	pattern:"^[a-z]+$"      the whole string (on a list: each item) has to match; messages show it as written. Java's \p{ASCII}
//	                        and \uXXXX are understood. A tag is a quoted Go string, so a backslash is written twice
//	range:"1..1000"         value of an integer
//	size:"0..10"            items of a list, pairs of a map
//	default:"RAW"           an absent or null scalar decodes to this value; checked against the constraints by Compile
//	default:""              is a default too: the empty string
//
// Enums need no tag: a string type that implements shape.Enum brings its values.
//
// Structures and lists of structures are described by their own structs, to any depth, but not recursively. A blank field
// declares what a structure does with members it does not know; without one they are syntax-checked and ignored (PROTO-06):
//
//	_ struct{} `refuse:"*"`                          any unknown member is a violation, unless null
//	_ struct{} `refuse:"GranteeServicePrincipal"`    these are (comma-separated), all others are ignored
//
// # Using it
//
//	var encrypt = awsjson.Compile[EncryptInput]()                // once; safe for concurrent use
//	var in EncryptInput                                          // always a fresh zero value
//	invalid, err := encrypt.Decode(body, &in)                    // err: *SerializationError
//	if invalid != nil { ... }                                    // *ValidationError, to be reported later (PROTO-30)
//	b = encryptOut.Append(b, &out)
//	rp := encrypt.MustSelect("KeyId", "EncryptionAlgorithm")     // once, for requestParameters
//	b = rp.Append(b, &in)
//	encrypt.Wipe(&in)
//
// Decode copies what it keeps; the body may be wiped afterwards, and should be, since it carries plaintext.
package awsjson
