package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// What is looked at when the clients of the identities have stopped.

// Settle waits until all nodes have the identities of the home.
func (w *identities) Settle(ctx context.Context, t *Target) []check.Anomaly {
	if t.Home == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, convergence)
	defer cancel()
	for {
		differ := w.differ(ctx, t)
		if differ == "" {
			break
		}
		select {
		case <-ctx.Done():
			return []check.Anomaly{{Workload: w.Name(), Text: fmt.Sprintf("the regions' identities differed %v after the end: %s", convergence, differ)}}
		case <-time.After(50 * time.Millisecond):
		}
	}
	if t.Settled.IsZero() || t.Within == 0 || time.Since(t.Settled) <= t.Within {
		return nil
	}
	return []check.Anomaly{{Workload: w.Name(), Text: fmt.Sprintf("the regions had the same identities %v after they could speak again; %v are allowed on this machine",
		time.Since(t.Settled).Round(time.Millisecond), t.Within.Round(time.Millisecond))}}
}

// differ says how the identities of two nodes differ, "" if they do not.
func (w *identities) differ(ctx context.Context, t *Target) string {
	first, at := "", ""
	for _, r := range t.Regions {
		for _, n := range r.Nodes {
			st, err := statusOf(ctx, n)
			switch {
			case err != nil:
				return fmt.Sprintf("%s: %v", n.Name, err)
			case r.Name != t.Home && st.IdentityHome != t.Home:
				return fmt.Sprintf("%s follows %q", n.Name, st.IdentityHome)
			case first == "":
				first, at = st.IdentityDigest, n.Name
			case st.IdentityDigest != first:
				return fmt.Sprintf("digest %s at %s, %s at %s", first, at, st.IdentityDigest, n.Name)
			}
		}
	}
	return ""
}

// Check looks at every person in every region, uses all that it had, and judges.
func (w *identities) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	for i, p := range w.people.ever() {
		for at := range t.Regions {
			nodes := t.everywhere(at)
			if i < len(w.people.ever())-presentPeople {
				nodes = nodes[i%len(nodes):][:1] // of those of before one node of each region tells
			}
			for _, d := range nodes {
				w.lookAt(s, d, at, p)
			}
		}
	}
	return check.Identities(append(ops, last.ops...))
}

// finalSessions bounds the sessions of a person that are used at the end, the latest ones.
const finalSessions = 6

// lookAt looks at a person at a node.
func (w *identities) lookAt(s *session, d door, at int, p *citizen) {
	for _, f := range []func() history.Op{
		func() history.Op { return w.getPolicy(s, d, p, "1") }, func() history.Op { return w.getRole(s, d, p, "1") }, func() history.Op { return w.listKeys(s, d, p, "1") },
	} {
		s.insist(f)
	}
	for _, k := range p.keys {
		in := map[string]string{"accessKeyId": k.AccessKeyID, "value": p.policy, "final": "1"}
		s.insist(func() history.Op { return w.encrypt(s, d, at, p, k.Credentials, in) })
	}
	for i := max(0, len(p.sessions)-finalSessions); i < len(p.sessions); i++ {
		x := &p.sessions[i]
		in := w.sessionUse(s, d, p, x)
		in["final"] = "1"
		s.insist(func() history.Op { return w.encrypt(s, d, at, p, x.Credentials, in) })
	}
}

// allowedValue is the value that a policy of this workload allows.
func allowedValue(escaped string) (string, error) {
	text, err := url.QueryUnescape(escaped)
	if err != nil {
		return "", err
	}
	var doc policyDocument
	if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Statement) == 0 {
		return "", fmt.Errorf("a policy of another form: %q", text)
	}
	return doc.Statement[0].Condition["StringEquals"]["kms:EncryptionContext:v"], nil
}

// listed renders access keys like the checker.
func listed(keys []iamtypes.AccessKeyMetadata) string {
	var all []string
	for _, k := range keys {
		all = append(all, *k.AccessKeyId+"="+string(k.Status))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}
