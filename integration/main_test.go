package integration_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/integration/trenttest"
	"github.com/trentkms/trent/region/fault"
)

func TestMain(m *testing.M) { os.Exit(trenttest.Main(m, everyOperation, everyError)) }

// elsewhere are the operations that take a second region: TestRegions has each succeed, and answer each error that it declares.
var elsewhere = []string{"ReplicateKey", "UpdatePrimaryRegion"}

// everyOperation holds that the tests have seen each operation succeed and fail.
func everyOperation(j *trenttest.Journal) error {
	succeeded, failed := make(map[string]bool), make(map[string]bool)
	for _, a := range j.Answers() {
		if a.Error == "" {
			succeeded[a.Operation] = true
		} else {
			failed[a.Operation] = true
		}
	}
	var errs []error
	for _, op := range api.Operations() {
		if (!succeeded[op.Name] || !failed[op.Name]) && !slices.Contains(elsewhere, op.Name) {
			errs = append(errs, fmt.Errorf("%s: seen to succeed: %v, to fail: %v", op.Name, succeeded[op.Name], failed[op.Name]))
		}
	}
	for _, name := range api.Unsupported() {
		if succeeded[name] || !failed[name] {
			errs = append(errs, fmt.Errorf("%s is not performed: seen to succeed: %v, to be refused: %v", name, succeeded[name], failed[name]))
		}
	}
	return errors.Join(errs...)
}

// unreachable are declared errors that a healthy node without key stores has no occasion for, or that take a day: the
// tests of packages region and hsm make those that can be made.
var unreachable = []fault.Code{
	fault.DependencyTimeoutException, fault.KMSInternalException, fault.KeyUnavailableException,
	fault.CustomKeyStoreInvalidStateException, fault.CloudHsmClusterInvalidConfigurationException, fault.XksKeyAlreadyInUseException,
	fault.XksKeyInvalidConfigurationException, fault.XksKeyNotFoundException, fault.ExpiredImportTokenException,
	fault.ConflictException,
}

// undue are pairs of operation and error that the model declares and for which no cause is documented, or only one that this
// service does not have.
var undue = map[string]string{
	"GetPublicKey DisabledException":                     "public keys of disabled keys are handed out",
	"GetPublicKey InvalidKeyUsageException":              "no usage rules it out",
	"DisableKeyRotation KMSInvalidStateException":        "",
	"DeleteAlias KMSInvalidStateException":               "works in every state",
	"GetKeyPolicy KMSInvalidStateException":              "works in every state",
	"ListKeyPolicies KMSInvalidStateException":           "works in every state",
	"PutKeyPolicy KMSInvalidStateException":              "works in every state",
	"GetKeyRotationStatus KMSInvalidStateException":      "works in every state",
	"GetKeyRotationStatus UnsupportedOperationException": "custom key stores only",
	"ListKeyRotations KMSInvalidStateException":          "works in every state",
	"DeleteImportedKeyMaterial KMSInvalidStateException": "replicas only",
	"EnableKey LimitExceededException":                   "a quota of the past",
	"CreateGrant LimitExceededException":                 "takes 50,000 grants; package api's tests lower the quota",
	"ListGrants KMSInvalidStateException":                "works in every state",
	"RetireGrant KMSInvalidStateException":               "works in every state",
	"RevokeGrant KMSInvalidStateException":               "works in every state",
	"ListRetirableGrants NotFoundException":              "a principal that does not exist has no grants",
	"TagResource LimitExceededException":                 "too many tags are a TagException",
	"GenerateRandom UnsupportedOperationException":       "external key stores only",
}

// everyError holds that the tests have seen each operation answer each error that it declares, but for those excepted.
func everyError(j *trenttest.Journal) error {
	seen := make(map[string]bool)
	for _, a := range j.Answers() {
		seen[a.Operation+" "+a.Error] = true
	}
	var missing []string
	for _, op := range api.Operations() {
		if slices.Contains(elsewhere, op.Name) {
			continue
		}
		for _, code := range fault.DeclaredBy(op.Name) {
			pair := op.Name + " " + code.Name()
			if _, ok := undue[pair]; !ok && !seen[pair] && !slices.Contains(unreachable, code) {
				missing = append(missing, pair)
			}
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("never answered:\n  %s", strings.Join(missing, "\n  "))
	}
	return nil
}
