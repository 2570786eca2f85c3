// Package query is the AWS Query protocol, which IAM and STS speak: requests are HTML forms, answers are XML. It knows how
// structures of package region become both, and what an operation of such an API is; which operations there are is said in
// packages iam and sts, how a request is served in package api.
//
// It guarantees:
//   - a form is decoded by the rules of the structure it is meant for, its constraints are checked by package awsjson, and
//     messages are those of the KMS API;
//   - a parameter that the structure refuses is never ignored; one that it does not know has no effect;
//   - work and memory are linear in the size of the form;
//   - a secret is in an answer only where its field is, and in no record.
package query
