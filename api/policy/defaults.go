package policy

// DefaultEndpointPolicy is the policy of an endpoint that was given none: it restricts nothing (spec 04 VE-02).
const DefaultEndpointPolicy = `{ "Statement": [ { "Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*" } ] }`

// AWSManagedKeyPolicy returns the key policy of an AWS managed key: everybody in the account may use it, but only through its
// service, and the account may look at it and revoke its grants (spec 05 VIA-04, spec 09 SVC-11). service is the name as in
// kms:ViaService, e.g. "workmail".
func AWSManagedKeyPolicy(partition, account, region, service string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "auto-` + service + `-1",
  "Statement" : [ {
    "Sid" : "Allow access through ` + service + ` for all principals in the account that are authorized to use ` + service + `",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:ViaService" : "` + service + `.` + region + `.amazonaws.com",
        "kms:CallerAccount" : "` + account + `"
      }
    }
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + rootARN(partition, account) + `"
    },
    "Action" : [ "kms:Describe*", "kms:List*", "kms:Get*", "kms:RevokeGrant" ],
    "Resource" : "*"
  } ]
}`
}
