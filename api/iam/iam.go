// Package iam is the table of the IAM operations that Trent performs (API version 2010-05-08). What they do is in package region,
// how they are served in package api; only the policy simulator is here, since it asks the policy engine.
package iam

import (
	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/region"
)

// service abbreviates the receiver of the operations' functions.
type service = *region.Service

// API returns the table.
func API() *query.API { return query.NewAPI("iam", "2010-05-08", operations()) }

func operations() []*query.Operation {
	return []*query.Operation{
		query.Define(query.Row{Name: "AddClientIDToOpenIDConnectProvider", Write: true, Request: []string{"OpenIDConnectProviderArn", "ClientID"}}, service.AddClientID),
		query.Define(query.Row{Name: "AddUserToGroup", Write: true, Request: []string{"GroupName", "UserName"}}, service.AddUserToGroup),
		query.Define(query.Row{Name: "AttachGroupPolicy", Write: true, Request: []string{"GroupName", "PolicyArn"}}, region.AttachPolicy[region.OfGroup]),
		query.Define(query.Row{Name: "AttachRolePolicy", Write: true, Request: []string{"RoleName", "PolicyArn"}}, region.AttachPolicy[region.OfRole]),
		query.Define(query.Row{Name: "AttachUserPolicy", Write: true, Request: []string{"UserName", "PolicyArn"}}, region.AttachPolicy[region.OfUser]),
		query.Recorded(query.Unrepeated(query.Define(query.Row{Name: "CreateAccessKey", Write: true, Request: []string{"UserName"}}, service.CreateAccessKey)), shownKey, "AccessKey"),
		query.Repeatable(query.Row{Name: "CreateGroup", Write: true, Request: []string{"Path", "GroupName"}, Response: []string{"Group"}}, service.CreateGroup, service.CreateGroupAgain),
		query.Repeatable(query.Row{Name: "CreateOpenIDConnectProvider", Write: true, Request: []string{"Url", "ClientIDList", "ThumbprintList", "Tags"}, Response: []string{"OpenIDConnectProviderArn"}}, service.CreateProvider, service.CreateProviderAgain),
		query.Repeatable(query.Row{Name: "CreatePolicy", Write: true, Request: []string{"PolicyName", "Path", "PolicyDocument", "Description", "Tags"}, Response: []string{"Policy"}}, service.CreatePolicy, service.CreatePolicyAgain),
		query.Repeatable(query.Row{Name: "CreatePolicyVersion", Write: true, Request: []string{"PolicyArn", "PolicyDocument", "SetAsDefault"}, Response: []string{"PolicyVersion"}}, service.CreatePolicyVersion, service.CreatePolicyVersionAgain),
		query.Repeatable(query.Row{Name: "CreateRole", Write: true, Request: []string{"Path", "RoleName", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags"}, Response: []string{"Role"}}, service.CreateRole, service.CreateRoleAgain),
		query.Repeatable(query.Row{Name: "CreateUser", Write: true, Request: []string{"Path", "UserName", "PermissionsBoundary", "Tags"}, Response: []string{"User"}}, service.CreateUser, service.CreateUserAgain),
		query.Define(query.Row{Name: "DeleteAccessKey", Write: true, Request: []string{"UserName", "AccessKeyId"}}, service.DeleteAccessKey),
		query.Define(query.Row{Name: "DeleteGroup", Write: true, Request: []string{"GroupName"}}, service.DeleteGroup),
		query.Define(query.Row{Name: "DeleteGroupPolicy", Write: true, Request: []string{"GroupName", "PolicyName"}}, region.DeleteInlinePolicy[region.OfGroup]),
		query.Define(query.Row{Name: "DeleteOpenIDConnectProvider", Write: true, Request: []string{"OpenIDConnectProviderArn"}}, service.DeleteProvider),
		query.Define(query.Row{Name: "DeletePolicy", Write: true, Request: []string{"PolicyArn"}}, service.DeletePolicy),
		query.Define(query.Row{Name: "DeletePolicyVersion", Write: true, Request: []string{"PolicyArn", "VersionId"}}, service.DeletePolicyVersion),
		query.Define(query.Row{Name: "DeleteRole", Write: true, Request: []string{"RoleName"}}, service.DeleteRole),
		query.Define(query.Row{Name: "DeleteRolePermissionsBoundary", Write: true, Request: []string{"RoleName"}}, region.DeleteBoundary[region.OfRole]),
		query.Define(query.Row{Name: "DeleteRolePolicy", Write: true, Request: []string{"RoleName", "PolicyName"}}, region.DeleteInlinePolicy[region.OfRole]),
		query.Define(query.Row{Name: "DeleteUser", Write: true, Request: []string{"UserName"}}, service.DeleteUser),
		query.Define(query.Row{Name: "DeleteUserPermissionsBoundary", Write: true, Request: []string{"UserName"}}, region.DeleteBoundary[region.OfUser]),
		query.Define(query.Row{Name: "DeleteUserPolicy", Write: true, Request: []string{"UserName", "PolicyName"}}, region.DeleteInlinePolicy[region.OfUser]),
		query.Define(query.Row{Name: "DetachGroupPolicy", Write: true, Request: []string{"GroupName", "PolicyArn"}}, region.DetachPolicy[region.OfGroup]),
		query.Define(query.Row{Name: "DetachRolePolicy", Write: true, Request: []string{"RoleName", "PolicyArn"}}, region.DetachPolicy[region.OfRole]),
		query.Define(query.Row{Name: "DetachUserPolicy", Write: true, Request: []string{"UserName", "PolicyArn"}}, region.DetachPolicy[region.OfUser]),
		query.Define(query.Row{Name: "GetAccountAuthorizationDetails", Request: []string{"Filter", "MaxItems", "Marker"}}, service.GetAccountAuthorizationDetails),
		query.Define(query.Row{Name: "GetAccountSummary"}, service.GetAccountSummary),
		query.Define(query.Row{Name: "GetGroup", Request: []string{"GroupName", "Marker", "MaxItems"}}, service.GetGroup),
		query.Define(query.Row{Name: "GetGroupPolicy", Request: []string{"GroupName", "PolicyName"}}, region.GetInlinePolicy[region.OfGroup]),
		query.Define(query.Row{Name: "GetOpenIDConnectProvider", Request: []string{"OpenIDConnectProviderArn"}}, service.GetProvider),
		query.Define(query.Row{Name: "GetPolicy", Request: []string{"PolicyArn"}}, service.GetPolicy),
		query.Define(query.Row{Name: "GetPolicyVersion", Request: []string{"PolicyArn", "VersionId"}}, service.GetPolicyVersion),
		query.Define(query.Row{Name: "GetRole", Request: []string{"RoleName"}}, service.GetRole),
		query.Define(query.Row{Name: "GetRolePolicy", Request: []string{"RoleName", "PolicyName"}}, region.GetInlinePolicy[region.OfRole]),
		query.Define(query.Row{Name: "GetUser", Request: []string{"UserName"}}, service.GetUser),
		query.Define(query.Row{Name: "GetUserPolicy", Request: []string{"UserName", "PolicyName"}}, region.GetInlinePolicy[region.OfUser]),
		query.Define(query.Row{Name: "ListAccessKeys", Request: []string{"UserName", "Marker", "MaxItems"}}, service.ListAccessKeys),
		query.Define(query.Row{Name: "ListAttachedGroupPolicies", Request: []string{"GroupName", "PathPrefix", "Marker", "MaxItems"}}, region.ListAttachedPolicies[region.OfGroup]),
		query.Define(query.Row{Name: "ListAttachedRolePolicies", Request: []string{"RoleName", "PathPrefix", "Marker", "MaxItems"}}, region.ListAttachedPolicies[region.OfRole]),
		query.Define(query.Row{Name: "ListAttachedUserPolicies", Request: []string{"UserName", "PathPrefix", "Marker", "MaxItems"}}, region.ListAttachedPolicies[region.OfUser]),
		query.Define(query.Row{Name: "ListEntitiesForPolicy", Request: []string{"PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"}}, service.ListEntitiesForPolicy),
		query.Define(query.Row{Name: "ListGroupPolicies", Request: []string{"GroupName", "Marker", "MaxItems"}}, region.ListInlinePolicies[region.OfGroup]),
		query.Define(query.Row{Name: "ListGroups", Request: []string{"PathPrefix", "Marker", "MaxItems"}}, service.ListGroups),
		query.Define(query.Row{Name: "ListGroupsForUser", Request: []string{"UserName", "Marker", "MaxItems"}}, service.ListGroupsForUser),
		query.Define(query.Row{Name: "ListInstanceProfilesForRole", Request: []string{"RoleName", "Marker", "MaxItems"}}, service.ListInstanceProfilesForRole),
		query.Define(query.Row{Name: "ListOpenIDConnectProviderTags", Request: []string{"OpenIDConnectProviderArn", "Marker", "MaxItems"}}, service.ListProviderTags),
		query.Define(query.Row{Name: "ListOpenIDConnectProviders"}, service.ListProviders),
		query.Define(query.Row{Name: "ListPolicies", Request: []string{"Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "Marker", "MaxItems"}}, service.ListPolicies),
		query.Define(query.Row{Name: "ListPolicyTags", Request: []string{"PolicyArn", "Marker", "MaxItems"}}, service.ListPolicyTags),
		query.Define(query.Row{Name: "ListPolicyVersions", Request: []string{"PolicyArn", "Marker", "MaxItems"}}, service.ListPolicyVersions),
		query.Define(query.Row{Name: "ListRolePolicies", Request: []string{"RoleName", "Marker", "MaxItems"}}, region.ListInlinePolicies[region.OfRole]),
		query.Define(query.Row{Name: "ListRoleTags", Request: []string{"RoleName", "Marker", "MaxItems"}}, region.ListIdentityTags[region.OfRole]),
		query.Define(query.Row{Name: "ListRoles", Request: []string{"PathPrefix", "Marker", "MaxItems"}}, service.ListRoles),
		query.Define(query.Row{Name: "ListUserPolicies", Request: []string{"UserName", "Marker", "MaxItems"}}, region.ListInlinePolicies[region.OfUser]),
		query.Define(query.Row{Name: "ListUserTags", Request: []string{"UserName", "Marker", "MaxItems"}}, region.ListIdentityTags[region.OfUser]),
		query.Define(query.Row{Name: "ListUsers", Request: []string{"PathPrefix", "Marker", "MaxItems"}}, service.ListUsers),
		query.Define(query.Row{Name: "PutGroupPolicy", Write: true, Request: []string{"GroupName", "PolicyName", "PolicyDocument"}}, region.PutInlinePolicy[region.OfGroup]),
		query.Define(query.Row{Name: "PutOpenIDConnectProviderKeys", Write: true, Request: []string{"OpenIDConnectProviderArn", "KeySet"}}, service.PutProviderKeys), // an addition of this service
		query.Define(query.Row{Name: "PutRolePermissionsBoundary", Write: true, Request: []string{"RoleName", "PermissionsBoundary"}}, region.PutBoundary[region.OfRole]),
		query.Define(query.Row{Name: "PutRolePolicy", Write: true, Request: []string{"RoleName", "PolicyName", "PolicyDocument"}}, region.PutInlinePolicy[region.OfRole]),
		query.Define(query.Row{Name: "PutUserPermissionsBoundary", Write: true, Request: []string{"UserName", "PermissionsBoundary"}}, region.PutBoundary[region.OfUser]),
		query.Define(query.Row{Name: "PutUserPolicy", Write: true, Request: []string{"UserName", "PolicyName", "PolicyDocument"}}, region.PutInlinePolicy[region.OfUser]),
		query.Define(query.Row{Name: "RemoveClientIDFromOpenIDConnectProvider", Write: true, Request: []string{"OpenIDConnectProviderArn", "ClientID"}}, service.RemoveClientID),
		query.Define(query.Row{Name: "RemoveUserFromGroup", Write: true, Request: []string{"GroupName", "UserName"}}, service.RemoveUserFromGroup),
		query.Define(query.Row{Name: "SetDefaultPolicyVersion", Write: true, Request: []string{"PolicyArn", "VersionId"}}, service.SetDefaultPolicyVersion),
		query.Define(query.Row{Name: "SimulateCustomPolicy", Request: []string{"ActionNames", "ResourceArns"}}, simulateCustom),
		query.Define(query.Row{Name: "SimulatePrincipalPolicy", Request: []string{"PolicySourceArn", "ActionNames", "ResourceArns"}}, simulatePrincipal),
		query.Define(query.Row{Name: "TagOpenIDConnectProvider", Write: true, Request: []string{"OpenIDConnectProviderArn", "Tags"}}, service.TagProvider),
		query.Define(query.Row{Name: "TagPolicy", Write: true, Request: []string{"PolicyArn", "Tags"}}, service.TagPolicy),
		query.Define(query.Row{Name: "TagRole", Write: true, Request: []string{"RoleName", "Tags"}}, region.TagIdentity[region.OfRole]),
		query.Define(query.Row{Name: "TagUser", Write: true, Request: []string{"UserName", "Tags"}}, region.TagIdentity[region.OfUser]),
		query.Define(query.Row{Name: "UntagOpenIDConnectProvider", Write: true, Request: []string{"OpenIDConnectProviderArn", "TagKeys"}}, service.UntagProvider),
		query.Define(query.Row{Name: "UntagPolicy", Write: true, Request: []string{"PolicyArn", "TagKeys"}}, service.UntagPolicy),
		query.Define(query.Row{Name: "UntagRole", Write: true, Request: []string{"RoleName", "TagKeys"}}, region.UntagIdentity[region.OfRole]),
		query.Define(query.Row{Name: "UntagUser", Write: true, Request: []string{"UserName", "TagKeys"}}, region.UntagIdentity[region.OfUser]),
		query.Define(query.Row{Name: "UpdateAccessKey", Write: true, Request: []string{"UserName", "AccessKeyId", "Status"}}, service.UpdateAccessKey),
		query.Define(query.Row{Name: "UpdateAssumeRolePolicy", Write: true, Request: []string{"RoleName", "PolicyDocument"}}, service.UpdateAssumeRolePolicy),
		query.Define(query.Row{Name: "UpdateGroup", Write: true, Request: []string{"GroupName", "NewPath", "NewGroupName"}}, service.UpdateGroup),
		query.Define(query.Row{Name: "UpdateOpenIDConnectProviderThumbprint", Write: true, Request: []string{"OpenIDConnectProviderArn", "ThumbprintList"}}, service.UpdateThumbprint),
		query.Repeatable(query.Row{Name: "UpdateRole", Write: true, Request: []string{"RoleName", "Description", "MaxSessionDuration"}}, service.UpdateRole, service.UpdateRoleAgain),
		query.Repeatable(query.Row{Name: "UpdateRoleDescription", Write: true, Request: []string{"RoleName", "Description"}, Response: []string{"Role"}}, service.UpdateRoleDescription, service.UpdateRoleDescriptionAgain),
		query.Define(query.Row{Name: "UpdateUser", Write: true, Request: []string{"UserName", "NewPath", "NewUserName"}}, service.UpdateUser),
	}
}

// shownKey is what the record of CreateAccessKey shows: all but the secret.
func shownKey(out *region.CreateAccessKeyOutput) *region.AccessKeyRecord {
	k := out.AccessKey
	return &region.AccessKeyRecord{AccessKey: region.AccessKeyMetadata{
		UserName: k.UserName, AccessKeyID: k.AccessKeyID, Status: k.Status, CreateDate: k.CreateDate,
	}}
}
