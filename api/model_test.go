package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// apiModel are the facts of the published API model (testdata/model.py).
type apiModel struct {
	Botocore   string // the version that they were taken from
	Operations map[string]struct {
		Input, Output string
		Errors        []string
	}
	Shapes map[string]modelShape
}

// modelShape is one named type of the model.
type modelShape struct {
	Type               string
	Min, Max           *int64
	Pattern            string
	Enum               []string
	Sensitive          bool
	Required           []string
	Members            map[string]string // member -> name of its type
	Order              []string
	Member, Key, Value string
}

func loadModel(t *testing.T) *apiModel {
	t.Helper()
	data, err := os.ReadFile("testdata/model.json")
	if err != nil {
		t.Fatal(err)
	}
	m := &apiModel{}
	if err := json.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	if len(m.Operations) != 54 {
		t.Fatalf("the model has %d operations", len(m.Operations))
	}
	return m
}

// TestModelIsCurrent compares the facts with the model that botocore ships, if the version that they were taken from is installed.
func TestModelIsCurrent(t *testing.T) {
	version, err := exec.Command("python3", "-c", "import botocore; print(botocore.__version__)").Output()
	if want := loadModel(t).Botocore; err != nil || strings.TrimSpace(string(version)) != want {
		t.Skipf("botocore %s is not installed, but %q (%v)", want, version, err)
	}
	out, err := exec.Command("python3", "-B", "testdata/model.py").Output()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/model.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, data) {
		t.Error("testdata/model.json is not what testdata/model.py prints")
	}
}

// TestEveryOperationIsThere: each operation of the model is performed or refused as such, once, and none is made up.
func TestEveryOperationIsThere(t *testing.T) {
	m := loadModel(t)
	seen := make(map[string]int)
	for _, op := range Operations() {
		seen[op.Name]++
	}
	for _, name := range Unsupported() {
		seen[name]++
	}
	for name := range m.Operations {
		if seen[name] != 1 {
			t.Errorf("%s is in the tables %d times", name, seen[name])
		}
		delete(seen, name)
	}
	for name := range seen {
		t.Errorf("%s is not in the model", name)
	}
	if !slices.IsSortedFunc(Operations(), func(a, b *Operation) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("Operations is not in the order of names")
	}
}

// TestErrorsAreDeclared: what an operation may answer is what the model declares for it.
func TestErrorsAreDeclared(t *testing.T) {
	for name, op := range loadModel(t).Operations {
		var declared []string
		for _, code := range fault.DeclaredBy(name) {
			declared = append(declared, code.Name())
		}
		if slices.Sort(declared); !slices.Equal(declared, op.Errors) {
			t.Errorf("%s declares %v, the model %v", name, declared, op.Errors)
		}
	}
}

// narrowed are members whose constraint is not the model's, and why.
var narrowed = map[string]string{
	"ListAliases.Limit":                       "at most 100 (spec 09 PAG-03)",
	"ListGrants.Limit":                        "at most 100",
	"ListRetirableGrants.Limit":               "at most 100",
	"ListResourceTags.Limit":                  "at most 50",
	"ScheduleKeyDeletion.PendingWindowInDays": "7 to 30 days (spec 01 DEL-02)",
	"CreateAlias.AliasName":                   "checked in an order of its own (spec 10 CAL-02)",
	"UpdateAlias.AliasName":                   "as in CreateAlias",
	"DeleteAlias.AliasName":                   "as in CreateAlias",
}

// optional are members that the model has and a shape may lack: what only operations have that this service does not perform.
var optional = []string{
	"CiphertextForRecipient", "CustomKeyStoreId", "CloudHsmClusterId", "XksKeyConfiguration",
}

// TestInputsAreTheModels holds every member of every input against the model: there, in its order, of its type, required or not, with its
// constraints, and secret where the model says sensitive.
func TestInputsAreTheModels(t *testing.T) {
	m := loadModel(t)
	for _, op := range Operations() {
		w := walker{t: t, m: m, input: true}
		w.structure(op.Name, m.Operations[op.Name].Input, op.input.Members())
	}
}

// TestOutputsAreTheModels does the same for outputs, whose constraints are the service's own business.
func TestOutputsAreTheModels(t *testing.T) {
	m := loadModel(t)
	for _, op := range Operations() {
		output := m.Operations[op.Name].Output
		if op.void != (output == "") {
			t.Errorf("%s: void %v, the model's output is %q", op.Name, op.void, output)
		}
		if !op.void {
			w := walker{t: t, m: m}
			w.structure(op.Name, output, op.output.Members())
		}
	}
}

// walker compares a shape with the model.
type walker struct {
	t     *testing.T
	m     *apiModel
	input bool
}

func (w *walker) structure(path, name string, members []awsjson.Member) {
	want := w.m.Shapes[name]
	var order []string
	for _, member := range members {
		at := path + "." + member.Name
		typeName, ok := want.Members[member.Name]
		if !ok {
			w.t.Errorf("%s is not in the model's %s", at, name)
			continue
		}
		order = append(order, member.Name)
		if w.input && member.Required != slices.Contains(want.Required, member.Name) {
			w.t.Errorf("%s: required %v", at, member.Required)
		}
		w.member(at, typeName, &member)
	}
	known := slices.DeleteFunc(slices.Clone(want.Order), func(n string) bool {
		return !slices.Contains(order, n) && !w.input && slices.Contains(optional, n)
	})
	if slices.Sort(known); !slices.Equal(slices.Sorted(slices.Values(order)), known) {
		w.t.Errorf("%s has the members %v, the model %v", path, order, known)
	}
	if inModel := slices.DeleteFunc(slices.Clone(want.Order), func(n string) bool { return !slices.Contains(order, n) }); w.input && !slices.Equal(order, inModel) {
		w.t.Errorf("%s: members in the order %v, in the model %v; messages follow it", path, order, inModel)
	}
}

// modelKinds are the codec's names for the model's types.
var modelKinds = map[string]string{
	"string": "String", "boolean": "Boolean", "integer": "Integer", "timestamp": "Timestamp", "blob": "Blob", "map": "Map", "structure": "Structure", "list": "List",
}

func (w *walker) member(at, typeName string, member *awsjson.Member) {
	want := w.m.Shapes[typeName]
	if member.Kind != modelKinds[want.Type] {
		w.t.Errorf("%s is a %s, in the model a %s", at, member.Kind, want.Type)
		return
	}
	if want.Sensitive && !member.Secret {
		w.t.Errorf("%s is sensitive in the model and no Secret here", at)
	}
	switch want.Type {
	case "structure":
		w.structure(at, typeName, member.Members)
	case "list":
		w.member(at+"[]", want.Member, member.Item)
	}
	if _, ours := narrowed[at]; w.input && !ours {
		w.constraint(at, typeName, &want, member)
	}
	if !w.input && len(want.Enum) > 0 && len(member.Constraint.Enum) > 0 {
		w.enum(at, want.Enum, member.Constraint.Enum)
	}
}

func (w *walker) constraint(at, typeName string, want *modelShape, member *awsjson.Member) {
	got := member.Constraint
	bound := func(v *int64) int64 {
		if v == nil {
			return shape.Unbounded
		}
		return *v
	}
	low := func(n int64) int64 { return max(n, 0) } // no bound and zero are the same
	if low(got.Min) != low(bound(want.Min)) || got.Max != bound(want.Max) {
		w.t.Errorf("%s (%s): %d to %d, in the model %d to %d", at, typeName, got.Min, got.Max, bound(want.Min), bound(want.Max))
	}
	pattern := want.Pattern
	if typeName == "KeyIdType" {
		pattern = shape.KeyIdPattern // recorded, and not in the model (spec 10 PROTO-37)
	}
	if got.Pattern != pattern {
		w.t.Errorf("%s (%s): pattern %q, in the model %q", at, typeName, got.Pattern, pattern)
	}
	w.enum(at, want.Enum, got.Enum)
}

// enum compares values as sets: messages list them in the service's own order (spec 10 PROTO-38).
func (w *walker) enum(at string, want, got []string) {
	if !slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))) {
		w.t.Errorf("%s: values %v, in the model %v", at, got, want)
	}
}

// TestNarrowedMembersExist keeps the list of exceptions from growing old.
func TestNarrowedMembersExist(t *testing.T) {
	there := make(map[string]bool)
	for _, op := range Operations() {
		for _, member := range op.input.Members() {
			there[op.Name+"."+member.Name] = true
		}
	}
	for _, name := range Unsupported() {
		for member := range loadModel(t).Shapes[loadModel(t).Operations[name].Input].Members {
			there[name+"."+member] = true
		}
	}
	for at := range narrowed {
		if !there[at] {
			t.Errorf("%s does not exist", at)
		}
	}
}

// TestRows holds each row of the table against what follows from the model and from the other columns.
func TestRows(t *testing.T) {
	m := loadModel(t)
	for _, op := range Operations() {
		input := m.Shapes[m.Operations[op.Name].Input]
		if _, there := input.Members["DryRun"]; there != (len(op.dryRun) > 0) {
			t.Errorf("%s: DryRun in the model %v, here %v", op.Name, there, len(op.dryRun) > 0)
		}
		for _, name := range op.Request {
			if _, there := input.Members[name]; !there {
				t.Errorf("%s records %s, which no request has", op.Name, name)
			}
		}
		reads := strings.HasPrefix(op.Name, "Get") || strings.HasPrefix(op.Name, "List") || strings.HasPrefix(op.Name, "Describe")
		if reads && op.Class == Write || !reads && op.Class == Read {
			t.Errorf("%s has class %d", op.Name, op.Class)
		}
		if op.Class != Write && op.Response != RespondNull {
			t.Errorf("%s changes nothing and records a response (spec 03 AUD-31)", op.Name)
		}
		if op.Aliases && !op.CrossAccount {
			t.Errorf("%s takes aliases and no foreign keys; no operation does", op.Name)
		}
		if op.Class == Write && op.again == nil {
			t.Errorf("%s has no answer for a repeat", op.Name)
		}
	}
	if got := fmt.Sprint(len(Operations()) + len(Unsupported())); got != "54" {
		t.Errorf("%s operations", got)
	}
}
