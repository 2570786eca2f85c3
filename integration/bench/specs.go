package main

import (
	"context"
	"crypto"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// specRow is one operation with a key of one spec, beside the bare primitive that it is made of.
type specRow struct {
	operation, spec, usage string
	// in are the request's members but for KeyId, and what depends on an answer of before.
	in fields
	// before is an operation whose answer's member joins the request: a signature to verify, a ciphertext to decrypt.
	before, member string
	// keyless operations name no key.
	keyless bool
	// primitive sets up the bare operation in Go.
	primitive func() (func() error, error)
	// call sets up the bare call of the PKCS#11 module; nil if there is none.
	call func(*token) (func() error, error)
}

func (r *specRow) name() string {
	if r.spec == "" {
		return r.operation
	}
	if pair, ok := r.in["KeyPairSpec"].(string); ok {
		return r.operation + " " + pair
	}
	text := r.operation + " " + r.spec
	for _, alg := range []string{"SigningAlgorithm", "EncryptionAlgorithm"} {
		if a, ok := r.in[alg].(string); ok && strings.HasPrefix(r.spec, "RSA") {
			text += " " + strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(a, "RSASSA_"), "RSAES_"), "_SHA_256")
		}
	}
	return text
}

// specSlice bounds the time for one column of one row in one round: there are hundreds.
const specSlice = 300 * time.Millisecond

// specs measures what an operation costs on the server, with the embedded HSM and with SoftHSM2, and what the primitive costs
// without a server.
func (b *bench) specs(ctx context.Context) error {
	soft, err := b.freshTrent(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = soft.stop() }()
	var columns []*specServer
	columns = append(columns, &specServer{server: soft})
	tok, err := b.openToken()
	if err != nil {
		b.progress("without SoftHSM2: %v", err)
	} else {
		defer tok.close()
		s, err := b.trentOn(ctx, tok)
		if err != nil {
			return err
		}
		defer func() { _ = s.stop() }()
		columns = append(columns, &specServer{server: s})
	}
	t := &table{
		title: "Server processor time of a request in µs, beside the bare operation",
		head:  []string{"operation", "Trent", "Go primitive", "Trent less primitive", "Trent on SoftHSM2", "PKCS#11 call"},
	}
	t.note("The messages are 32 bytes. The bare operations run in one thread of the benchmark, in the same rounds. " +
		"A dash: the token or Trent's rules for it do not offer the operation.")
	for _, r := range specRows() {
		if !b.chosen(r.name()) {
			continue
		}
		cells, err := b.specRow(ctx, &r, columns, tok)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name(), err)
		}
		t.add(append([]string{r.name()}, cells...)...)
	}
	b.report.print(t)
	return nil
}

// specServer is a server with its load for one row.
type specServer struct {
	server  *server
	load    *load
	request *request
	cpu     samples
}

// specConnections is the number of connections of the measurements by spec.
const specConnections = 8

// prepare makes the row's key and request. It returns false if this server does not offer the operation.
func (s *specServer) prepare(ctx context.Context, r *specRow) (bool, error) {
	s.cpu, s.load, s.request = nil, nil, nil
	in := fields{}
	for name, v := range r.in {
		in[name] = v
	}
	if !r.keyless {
		id, err := s.server.createKey(ctx, r.spec, r.usage)
		if err != nil {
			return false, unlessUnsupported(err)
		}
		in["KeyId"] = id
	}
	if r.before != "" {
		var out map[string]any
		if err := s.server.call(ctx, r.before, in, &out); err != nil {
			return false, unlessUnsupported(err)
		}
		in[r.member] = out[r.member]
		if r.before == "Encrypt" {
			delete(in, "Plaintext")
		}
	}
	q, err := newCall(r.operation, in)
	if err != nil {
		return false, err
	}
	if _, err := call(ctx, s.server.endpoint, q); err != nil {
		return false, unlessUnsupported(err)
	}
	s.request = q
	return true, nil
}

// connect opens the connections and warms them up. It comes last: a server closes connections that send nothing.
func (s *specServer) connect(ctx context.Context) (err error) {
	if s.load, err = newLoad(ctx, s.server.endpoint, specConnections); err != nil {
		return err
	}
	_, err = s.load.run(ctx, s.request, time.Minute, specConnections)
	return err
}

// unlessUnsupported drops the error of an operation that is not offered.
func unlessUnsupported(err error) error {
	if strings.Contains(err.Error(), "UnsupportedOperationException") {
		return nil
	}
	return err
}

func (s *specServer) measure(ctx context.Context, d time.Duration) error {
	used, err := s.server.meter()
	if err != nil {
		return err
	}
	r, err := s.load.run(ctx, s.request, d, 0)
	if err != nil {
		return err
	}
	u, err := used()
	if err == nil {
		s.cpu = append(s.cpu, microseconds(u.cpu)/float64(r.requests))
	}
	return err
}

// specRow measures one row and returns its cells.
func (b *bench) specRow(ctx context.Context, r *specRow, servers []*specServer, tok *token) ([]string, error) {
	var active []*specServer
	for _, s := range servers {
		ok, err := s.prepare(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.server.name, err)
		}
		if ok {
			active = append(active, s)
		}
	}
	goOp, err := r.primitive()
	if err != nil {
		return nil, fmt.Errorf("the primitive: %w", err)
	}
	var tokenOp func() error
	if tok != nil && r.call != nil {
		if tokenOp, err = r.call(tok); err != nil {
			b.progress("%s: the token does not offer it: %v", r.name(), err)
			tokenOp = nil
		}
	}
	for _, s := range active {
		if err := s.connect(ctx); err != nil {
			return nil, err
		}
		defer s.load.close()
	}
	var goCPU, tokenCPU samples
	slice := min(b.slice(4), specSlice)
	for range b.rounds {
		for _, s := range active {
			if err := s.measure(ctx, slice); err != nil {
				return nil, err
			}
		}
		if goCPU, err = bare(goCPU, goOp, slice); err != nil {
			return nil, err
		}
		if tokenOp == nil {
			continue
		}
		if tokenCPU, err = bare(tokenCPU, tokenOp, slice); err != nil {
			return nil, err
		}
	}
	b.progress("%s: %s, bare %s µs", r.name(), servers[0].cpu, goCPU)
	onToken := samples(nil)
	if len(servers) > 1 {
		onToken = servers[1].cpu
	}
	return []string{
		servers[0].cpu.String(), goCPU.String(), number(servers[0].cpu.median() - goCPU.median()), onToken.String(), tokenCPU.String(),
	}, nil
}

// bare runs an operation for a while in one thread and adds its processor time in microseconds.
func bare(s samples, op func() error, d time.Duration) (samples, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := 0
	began, err := threadTime()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(d); n == 0 || time.Now().Before(end); n++ {
		if err := op(); err != nil {
			return nil, err
		}
	}
	ended, err := threadTime()
	return append(s, microseconds(ended-began)/float64(n)), err
}

// threadTime is the processor time of this thread.
func threadTime() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// specRows are all rows.
func specRows() []specRow {
	var rows []specRow
	for _, s := range []struct {
		spec, alg string
		hash      crypto.Hash
	}{
		{"HMAC_224", "HMAC_SHA_224", crypto.SHA224}, {"HMAC_256", "HMAC_SHA_256", crypto.SHA256},
		{"HMAC_384", "HMAC_SHA_384", crypto.SHA384}, {"HMAC_512", "HMAC_SHA_512", crypto.SHA512},
	} {
		rows = append(rows, macRows(s.spec, s.alg, s.hash)...)
	}
	for _, bits := range []int{2048, 3072, 4096} {
		rows = append(rows, rsaRows(bits)...)
	}
	for _, c := range curves {
		rows = append(rows, curveRows(c)...)
	}
	rows = append(rows, edwardsRows()...)
	for _, p := range mldsaSets() {
		rows = append(rows, mldsaRows(p)...)
	}
	return append(rows, pairRows()...)
}

// signAndVerify are the rows of a signing algorithm.
func signAndVerify(spec, alg string, sign, verify func() (func() error, error), signCall, verifyCall func(*token) (func() error, error)) []specRow {
	in := fields{"Message": message32, "SigningAlgorithm": alg}
	return []specRow{
		{operation: "Sign", spec: spec, usage: "SIGN_VERIFY", in: in, primitive: sign, call: signCall},
		{operation: "Verify", spec: spec, usage: "SIGN_VERIFY", in: in, before: "Sign", member: "Signature", primitive: verify, call: verifyCall},
	}
}

var message32 = []byte("a message of thirty-two bytes...")
