package policy

// ManagedPolicy is a built-in managed policy: accounts can attach and read it, and never change it (spec 04 IDP-08).
type ManagedPolicy struct {
	Name        string
	Path        string // "/" or "/aws-service-role/"
	Description string
	Document    string
	// ServiceRole: it belongs to a service-linked role and cannot be attached elsewhere (spec 05 SLR-01).
	ServiceRole bool
}

// ARN returns the policy's ARN; built-in policies belong to the account "aws".
func (m ManagedPolicy) ARN(partition string) string {
	return "arn:" + partition + ":iam::aws:policy" + m.Path + m.Name
}

// ManagedPolicies returns the built-in managed policies, sorted by name.
func ManagedPolicies() []ManagedPolicy { return append([]ManagedPolicy(nil), managedPolicies[:]...) }

var managedPolicies = [...]ManagedPolicy{
	{
		Name: "AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy", Path: "/aws-service-role/", ServiceRole: true,
		Description: "Used by the service-linked role that connects custom key stores to their HSM clusters and external key managers.",
		Document: `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Action" : [ "cloudhsm:Describe*", "ec2:CreateNetworkInterface", "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateSecurityGroup", "ec2:DescribeSecurityGroups", "ec2:RevokeSecurityGroupEgress", "ec2:DeleteSecurityGroup", "ec2:DescribeVpcs", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces" ],
    "Resource" : "*"
  } ]
}`,
	},
	{
		Name: "AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy", Path: "/aws-service-role/", ServiceRole: true,
		Description: "Used by the service-linked role that synchronizes the shared properties of multi-Region keys.",
		Document: `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Action" : "kms:SynchronizeMultiRegionKey",
    "Resource" : "*"
  } ]
}`,
	},
	{
		Name: "AWSKeyManagementServicePowerUser", Path: "/",
		Description: "Create keys and look at all of them; no use of keys, no change of key policies.",
		Document: `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Action" : [ "kms:CreateAlias", "kms:CreateKey", "kms:DeleteAlias", "kms:Describe*", "kms:GenerateRandom", "kms:Get*", "kms:List*", "kms:TagResource", "kms:UntagResource", "iam:ListGroups", "iam:ListRoles", "iam:ListUsers" ],
    "Resource" : "*"
  } ]
}`,
	},
	{
		Name: "AdministratorAccess", Path: "/",
		Description: "Everything, on keys whose key policy delegates to the account.",
		Document: `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Effect" : "Allow",
    "Action" : "*",
    "Resource" : "*"
  } ]
}`,
	},
}
