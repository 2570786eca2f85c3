package trent_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/trentkms/trent/"

// order is the architecture: what each tree of packages may import of this module besides itself. Imports run downwards, so that
// everything hard to get right can be tested without a server, and the state machine and the HSM know nothing of either.
var order = []struct {
	tree string
	may  []string
	why  string
}{
	{"region/shape", nil, "values and constraints are a leaf: every layer uses them"},
	{"region/fault", nil, "the error table is a leaf"},
	{"region/iamfault", nil, "the error table is a leaf"},
	{"region/arn", []string{"region/fault"}, "identifiers are pure"},
	{"region/keyspec", []string{"region/shape", "region/fault", "hsm"}, "the table of key specs is data"},
	{"region/keystate", []string{"region/shape", "region/fault", "region/keyspec", "hsm"}, "the state table is data"},
	{"region/envelope", []string{"region/shape", "region/arn", "region/fault"}, "the ciphertext format must be testable without an HSM"},
	{"api/awsjson", []string{"region/shape"}, "the codec knows no operation"},
	{"api/query", []string{"api/awsjson", "region"}, "the codec and the form of operations know no server"},
	{"api/facts", []string{"api/policy", "region", "fsm"}, "what the engine reads comes from the state"},
	{"api/iam", []string{"api/query", "api/policy", "api/facts", "region", "fsm"}, "a table of operations knows no server"},
	{"api/sts", []string{"api/query", "region"}, "a table of operations knows no server"},
	{"api/proxyproto", nil, "a parser of outside input stands alone"},
	{"api/throttle", nil, "counting is pure"},
	{"api/sigv4", nil, "signatures need no state"},
	{"api/oidc", nil, "tokens are verified without state"},
	{"api/policy", nil, "the policy engine is a pure function"},
	{"api/audit", nil, "the audit log must outlive every other part"},
	{"fsm", nil, "the state machine is deterministic: it knows commands and nothing else"},
	{"hsm", nil, "a module knows keys, not their policies"},
	{"cluster", []string{"fsm"}, "a Raft group knows its state machine"},
	{"region", []string{"cluster", "fsm", "hsm"}, "operations stand on the group and the HSM, and not on HTTP"},
	{"api", []string{"region", "cluster", "fsm", "hsm"}, "the edge stands on the region"},
	{"cmd", []string{"api", "region", "cluster", "fsm", "hsm"}, "the composition root may know everything"},
}

// TestImportOrder holds the order for the code itself; tests may reach further.
func TestImportOrder(t *testing.T) {
	for _, p := range packages(t) {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || strings.HasPrefix(name, "integration") {
			continue
		}
		tree, may, why := ruleFor(name)
		if tree == "" {
			t.Errorf("%s has no place in the order; give it one", name)
			continue
		}
		for _, imported := range p.Imports {
			path, ours := strings.CutPrefix(imported, module)
			if ours && !within(path, tree) && !slices.ContainsFunc(may, func(m string) bool { return within(path, m) }) {
				t.Errorf("%s imports %s: %s", name, path, why)
			}
		}
	}
}

// TestPackageComments holds that every package says what it guarantees.
func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, module) && p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func ruleFor(name string) (tree string, may []string, why string) {
	for _, o := range order {
		if within(name, o.tree) && len(o.tree) > len(tree) {
			tree, may, why = o.tree, o.may, o.why
		}
	}
	return tree, may, why
}

func within(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

type goPackage struct {
	ImportPath, Doc  string
	Imports, GoFiles []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
