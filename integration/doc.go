// Package integration holds Trent to what its clients see, with real clients against real nodes: the AWS SDK for Go for every
// operation, the AWS CLI for the README, boto3, OpenSSL for imported material and for what leaves the service, and raw HTTP for
// what no client would send. Package trenttest runs the nodes and checks each answer and each audit record besides.
package integration
