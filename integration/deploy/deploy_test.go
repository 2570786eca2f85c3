// Package deploy_test checks what is in deploy/ as far as that is possible without a machine to deploy to: the unit by systemd's
// own checker, the chart rendered and put against what the program serves and understands, the image's steps by the shell.
package deploy_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/integration/trenttest"
)

func TestMain(m *testing.M) { os.Exit(trenttest.Main(m)) }

// folder is deploy/ with what is below it.
func folder(t *testing.T, below ...string) string {
	t.Helper()
	root, err := trenttest.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(append([]string{root, "deploy"}, below...)...)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestUnit(t *testing.T) {
	if _, err := config.Parse("/etc/trent/node.hcl", []byte(read(t, folder(t, "systemd", "node.hcl")))); err != nil {
		t.Errorf("the configuration beside the unit: %v", err)
	}
	unit := read(t, folder(t, "systemd", "trent.service"))
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT CHECKED: systemd-analyze is not installed")
	}
	file := filepath.Join(t.TempDir(), "trent.service")
	if err := os.WriteFile(file, []byte(strings.Replace(unit, "/usr/bin/trent", "/bin/true", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "trent.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// values are those of the chart with changes.
func values(t *testing.T, change map[string]any) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(read(t, folder(t, "helm", "trent", "values.yaml"))), &v); err != nil {
		t.Fatal(err)
	}
	for name, x := range change {
		v[name] = x
	}
	return v
}

// render renders the chart as Helm does, as far as the chart needs it.
func render(t *testing.T, v map[string]any) []map[string]any {
	t.Helper()
	files, err := filepath.Glob(folder(t, "helm", "trent", "templates", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no templates", err)
	}
	data := map[string]any{"Values": v, "Release": map[string]any{"Name": "trent", "Namespace": "kms"}}
	toJSON := func(x any) (string, error) { b, err := json.Marshal(x); return string(b), err }
	var docs []map[string]any
	for _, file := range files {
		parsed, err := template.New(filepath.Base(file)).Option("missingkey=error").Funcs(template.FuncMap{"toJson": toJSON}).Parse(read(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := parsed.Execute(&out, data); err != nil {
			t.Fatal(err)
		}
		docs = append(docs, decode(t, out.Bytes())...)
	}
	return docs
}

func decode(t *testing.T, text []byte) (docs []map[string]any) {
	t.Helper()
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			if err.Error() == "EOF" {
				return docs
			}
			t.Fatalf("%v\n%s", err, text)
		}
		if doc != nil {
			docs = append(docs, doc)
		}
	}
}

// at follows a path of names and numbers.
func at(t *testing.T, x any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, ok := x.(map[string]any)
			if !ok || m[k] == nil {
				t.Fatalf("%v: there is no %q in %v", path, k, x)
			}
			x = m[k]
		case int:
			l, ok := x.([]any)
			if !ok || k >= len(l) {
				t.Fatalf("%v: there is no element %d in %v", path, k, x)
			}
			x = l[k]
		}
	}
	return x
}

func find(t *testing.T, docs []map[string]any, kind, name string) map[string]any {
	t.Helper()
	for _, d := range docs {
		if d["kind"] == kind && at(t, d, "metadata", "name") == name {
			return d
		}
	}
	t.Fatalf("the chart makes no %s %s", kind, name)
	return nil
}

var cases = []struct {
	name     string
	change   map[string]any
	set      []string // the same for Helm
	replicas int
}{
	{"three nodes", nil, nil, 3},
	{"the first node", map[string]any{"bootstrap": true}, []string{"bootstrap=true"}, 1},
	{"five nodes with tokens", map[string]any{
		"replicas": 5, "hsm": map[string]any{"kind": "pkcs11", "module": "/opt/hsm/lib.so", "token": "trent", "pinSecret": "trent-pin"},
		"extraVolumes":      []any{map[string]any{"name": "hsm", "hostPath": map[string]any{"path": "/opt/hsm"}}},
		"extraVolumeMounts": []any{map[string]any{"name": "hsm", "mountPath": "/opt/hsm"}},
	}, []string{"replicas=5", "hsm.kind=pkcs11", "hsm.module=/opt/hsm/lib.so", "hsm.token=trent", "extraVolumes[0].name=hsm",
		"extraVolumes[0].hostPath.path=/opt/hsm", "extraVolumeMounts[0].name=hsm", "extraVolumeMounts[0].mountPath=/opt/hsm"}, 5},
}

func TestChart(t *testing.T) {
	t.Setenv("TRENT_ADVERTISE", "trent-0.trent-nodes.kms.svc:7602")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			docs := render(t, values(t, c.change))
			set := find(t, docs, "StatefulSet", "trent")
			if n := at(t, set, "spec", "replicas"); n != c.replicas {
				t.Errorf("%v replicas", n)
			}
			cfg, err := config.Parse("/etc/trent/node.hcl", []byte(at(t, find(t, docs, "ConfigMap", "trent-config"), "data", "node.hcl").(string)))
			if err != nil {
				t.Fatal(err)
			}
			pod := at(t, set, "spec", "template", "spec").(map[string]any)
			checkMounts(t, pod)
			checkPorts(t, docs, at(t, pod, "containers", 0), cfg)
			labels := at(t, set, "spec", "template", "metadata", "labels")
			for _, selector := range []any{
				at(t, set, "spec", "selector", "matchLabels"), at(t, find(t, docs, "Service", "trent"), "spec", "selector"),
				at(t, find(t, docs, "Service", "trent-nodes"), "spec", "selector"),
				at(t, find(t, docs, "PodDisruptionBudget", "trent"), "spec", "selector", "matchLabels"),
			} {
				if !reflect.DeepEqual(selector, labels) {
					t.Errorf("a selector %v does not select %v", selector, labels)
				}
			}
			if at(t, set, "spec", "serviceName") != "trent-nodes" {
				t.Error("the pods have no names of their own")
			}
		})
	}
}

// checkMounts holds that everything mounted is a volume, and that what the configuration names is mounted.
func checkMounts(t *testing.T, pod map[string]any) {
	t.Helper()
	names := []any{"data"} // from the claim
	for _, v := range at(t, pod, "volumes").([]any) {
		names = append(names, at(t, v, "name"))
	}
	for _, kind := range []string{"initContainers", "containers"} {
		mounted := map[any]bool{}
		for _, m := range at(t, pod, kind, 0, "volumeMounts").([]any) {
			if !slices.Contains(names, at(t, m, "name")) {
				t.Errorf("%s mount %v, which is no volume", kind, at(t, m, "name"))
			}
			mounted[at(t, m, "mountPath")] = true
		}
		for _, path := range []string{"/var/lib/trent", "/etc/trent/node.hcl", "/etc/trent/pin", "/etc/trent/tls"} {
			if !mounted[path] {
				t.Errorf("%s lack %s", kind, path)
			}
		}
	}
}

// checkPorts holds that probes and services lead to where the node listens.
func checkPorts(t *testing.T, docs []map[string]any, container any, cfg *config.File) {
	t.Helper()
	ports := map[any]string{}
	for _, p := range at(t, container, "ports").([]any) {
		ports[at(t, p, "name")] = fmt.Sprint(at(t, p, "containerPort"))
	}
	listens := map[any]string{"cluster": cfg.Cluster.Address}
	for _, l := range cfg.Listeners {
		listens[l.Name] = l.Address
	}
	for name, port := range ports {
		if listens[name] != "0.0.0.0:"+port {
			t.Errorf("port %v is %s, the node listens on %q", name, port, listens[name])
		}
	}
	for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		if at(t, container, probe, "httpGet", "port") != "ops" || at(t, container, probe, "httpGet", "path") != path {
			t.Errorf("%s asks %v", probe, at(t, container, probe, "httpGet"))
		}
	}
	for service, port := range map[string]string{"trent": "api", "trent-nodes": "cluster"} {
		if got := at(t, find(t, docs, "Service", service), "spec", "ports", 0, "targetPort"); got != port {
			t.Errorf("service %s leads to %v", service, got)
		}
	}
}

// TestChartByHelm has Helm itself check and render the chart, and compares.
func TestChartByHelm(t *testing.T) {
	helm := os.Getenv("TRENT_HELM")
	if helm == "" {
		var err error
		if helm, err = exec.LookPath("helm"); err != nil {
			t.Skip("NOT CHECKED by Helm, which is not installed; TestChart has rendered the chart")
		}
	}
	chart := folder(t, "helm", "trent")
	if out, err := exec.Command(helm, "lint", "--strict", chart).CombinedOutput(); err != nil {
		t.Errorf("helm lint: %v\n%s", err, out)
	}
	for _, c := range cases {
		args := []string{"template", "trent", chart, "--namespace", "kms", "--kube-version", "1.30.0"}
		for _, s := range c.set {
			args = append(args, "--set", s)
		}
		out, err := exec.Command(helm, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		ours := render(t, values(t, c.change))
		theirs := decode(t, out)
		if len(theirs) != len(ours) {
			t.Errorf("%s: Helm makes %d objects, not %d", c.name, len(theirs), len(ours))
		}
		for _, d := range theirs {
			if o := find(t, ours, d["kind"].(string), at(t, d, "metadata", "name").(string)); !reflect.DeepEqual(o, d) {
				t.Errorf("%s: Helm renders\n%v\nand the test\n%v", c.name, d, o)
			}
		}
	}
}

// TestEntering runs what the chart's pods run at their first and at every further start.
func TestEntering(t *testing.T) {
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pod := func(change map[string]any) (args []string, cfg string) {
		docs := render(t, values(t, change))
		for _, a := range at(t, find(t, docs, "StatefulSet", "trent"), "spec", "template", "spec", "initContainers", 0, "args").([]any) {
			a := strings.NewReplacer("/var/lib/trent", dir, "/etc/trent", dir, "$(POD_NAME)", "trent-0").Replace(a.(string))
			args = append(args, a)
		}
		text := at(t, find(t, docs, "ConfigMap", "trent-config"), "data", "node.hcl").(string)
		text = strings.NewReplacer("/var/lib/trent", filepath.Join(dir, "data"), "/etc/trent", dir, "0.0.0.0:7602", "127.0.0.1:0").Replace(text)
		return args, text
	}
	run := func(args []string, text string) (string, error) {
		for name, content := range map[string]string{"node.hcl": text, "pin/pin": "1234567890abcdef"} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "TRENT_ADVERTISE=127.0.0.1:7602")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	made := filepath.Join(dir, "root-credentials.json")
	args, text := pod(map[string]any{"bootstrap": true})
	if out, err := run(args, text); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	first := read(t, made)
	var credentials struct{ AccessKeyID, SecretAccessKey string }
	if err := json.Unmarshal([]byte(first), &credentials); err != nil || credentials.SecretAccessKey == "" {
		t.Errorf("%s: %v", made, err)
	}
	if fi, err := os.Stat(made); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if out, err := run(args, text); err != nil || read(t, made) != first {
		t.Errorf("at the next start: %v\n%s", err, out)
	}
	// The upgrade to three nodes: the first one has a node already and needs no token.
	args, text = pod(nil)
	if out, err := run(args, text); err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if out, err := run(args, text); err == nil || !strings.Contains(out, "read the join token") {
		t.Errorf("a further node before its token is there: %v\n%s", err, out)
	}
}

var buildStep = regexp.MustCompile(`(?m)^FROM source AS build-(\w+)\nARG VERSION=dev\nRUN (.*)$`)

// TestImage checks the image's steps by the shell's syntax. TRENT_IMAGE=1 runs those that build, which takes minutes.
func TestImage(t *testing.T) {
	file := read(t, folder(t, "docker", "Dockerfile"))
	for _, step := range regexp.MustCompile(`(?m)^RUN (.*)$`).FindAllStringSubmatch(file, -1) {
		if out, err := exec.Command("sh", "-n", "-c", step[1]).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", step[1], err, out)
		}
	}
	steps := buildStep.FindAllStringSubmatch(file, -1)
	if len(steps) != 2 {
		t.Fatalf("%d builds", len(steps))
	}
	if os.Getenv("TRENT_IMAGE") == "" {
		t.Skip("the builds were not run; TRENT_IMAGE=1 runs them")
	}
	for _, step := range steps {
		out := filepath.Join(t.TempDir(), "trent")
		cmd := exec.Command("sh", "-ec", strings.Replace(step[2], "/out/trent", out, 1))
		cmd.Dir, cmd.Env = filepath.Dir(folder(t)), append(os.Environ(), "VERSION=image-test")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step[1], err, text)
		}
		if text, err := exec.Command(out, "version").CombinedOutput(); err != nil || !strings.Contains(string(text), "image-test") {
			t.Errorf("%s: version: %v\n%s", step[1], err, text)
		}
		program, err := elf.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		libraries, err := program.ImportedLibraries()
		if err != nil || (len(libraries) == 0) != (step[1] == "static") {
			t.Errorf("the %s program needs %v, %v", step[1], libraries, err)
		}
		program.Close()
	}
}
