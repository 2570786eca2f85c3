// Package sts is the table of the STS operations that Trent performs (API version 2011-06-15). What they do is in package region,
// how they are served in package api.
package sts

import (
	"github.com/trentkms/trent/api/query"
	"github.com/trentkms/trent/region"
)

// service abbreviates the receiver of the operations' functions.
type service = *region.Service

// API returns the table.
func API() *query.API {
	return query.NewAPI("sts", "2011-06-15", []*query.Operation{
		query.Recorded(query.Define(query.Row{
			Name: "AssumeRole",
			Request: []string{"RoleArn", "RoleSessionName", "PolicyArns", "Policy", "DurationSeconds", "Tags", "TransitiveTagKeys",
				"ExternalId", "SourceIdentity"},
		}, service.AssumeRole), shownRole, "Credentials", "AssumedRoleUser"),
		query.Recorded(query.Define(query.Row{
			Name: "AssumeRoleWithWebIdentity", Request: []string{"RoleArn", "RoleSessionName", "PolicyArns", "Policy", "DurationSeconds"},
		}, service.AssumeRoleWithWebIdentity), shownBearer, "Credentials", "SubjectFromWebIdentityToken", "AssumedRoleUser", "Provider", "Audience"),
		query.Define(query.Row{Name: "GetAccessKeyInfo", Request: []string{"AccessKeyId"}}, service.GetAccessKeyInfo),
		query.Define(query.Row{Name: "GetCallerIdentity"}, service.GetCallerIdentity),
		query.Recorded(query.Define(query.Row{Name: "GetSessionToken", Request: []string{"DurationSeconds"}}, service.GetSessionToken),
			shownSession, "Credentials"),
	})
}

// roleRecord, bearerRecord and sessionRecord are what audit records show of new credentials: neither secret nor token.
type (
	roleRecord struct {
		Credentials     *region.CredentialsRecord `wire:"Credentials"`
		AssumedRoleUser *region.AssumedRoleUser   `wire:"AssumedRoleUser"`
	}
	bearerRecord struct {
		Credentials     *region.CredentialsRecord `wire:"Credentials"`
		Subject         string                    `wire:"SubjectFromWebIdentityToken"`
		AssumedRoleUser *region.AssumedRoleUser   `wire:"AssumedRoleUser"`
		Provider        string                    `wire:"Provider"`
		Audience        string                    `wire:"Audience"`
	}
	sessionRecord struct {
		Credentials *region.CredentialsRecord `wire:"Credentials"`
	}
)

func shownRole(out *region.AssumeRoleOutput) *roleRecord {
	return &roleRecord{shown(out.Credentials), out.AssumedRoleUser}
}

func shownBearer(out *region.AssumeRoleWithWebIdentityOutput) *bearerRecord {
	return &bearerRecord{shown(out.Credentials), out.Subject, out.AssumedRoleUser, out.Provider, out.Audience}
}

func shownSession(out *region.SessionTokenOutput) *sessionRecord {
	return &sessionRecord{shown(out.Credentials)}
}

func shown(c *region.SessionCredentials) *region.CredentialsRecord {
	return &region.CredentialsRecord{AccessKeyID: c.AccessKeyID, Expiration: c.Expiration}
}
