package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// sealed is a ciphertext with what it was made of.
type sealed struct{ plaintext, ciphertext []byte }

// rotation has clients of every node encrypt under one key while it is rotated on demand and leaders are killed. Every
// ciphertext that was acknowledged opens on every node at once: no node encrypts with material that another lacks.
func (r *regionOf) rotation(t *testing.T) {
	defer r.in(t)()
	made, err := r.client(r.nodes[0], 1).CreateKey(ctx(t), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	run, cancel := context.WithCancel(t.Context())
	var (
		mu      sync.Mutex
		all     []sealed
		clients sync.WaitGroup
	)
	for i, p := range r.nodes {
		here, elsewhere := r.client(p, 1), r.client(r.nodes[(i+1)%len(r.nodes)], 3)
		clients.Go(func() {
			for n := 0; run.Err() == nil; n++ {
				plaintext := []byte{byte(i), byte(n), byte(n >> 8), 'x'}
				out, err := here.Encrypt(run, &kms.EncryptInput{KeyId: id, Plaintext: plaintext})
				if err != nil {
					continue // the node is down, or the test over
				}
				if n%8 == 0 {
					r.opens(run, t, elsewhere, sealed{plaintext, out.CiphertextBlob})
				}
				mu.Lock()
				all = append(all, sealed{plaintext, out.CiphertextBlob})
				mu.Unlock()
			}
		})
	}
	rotations := 0
	for round := range 8 {
		if _, err := r.client(r.nodes[round%len(r.nodes)], 5).RotateKeyOnDemand(ctx(t), &kms.RotateKeyOnDemandInput{KeyId: id}); err != nil {
			t.Fatalf("rotation %d: %v", round, err)
		}
		rotations++
		if round == 2 || round == 5 {
			p := r.leader()
			p.kill()
			<-time.After(300 * time.Millisecond)
			p.start()
			p.await()
		}
		<-time.After(100 * time.Millisecond)
	}
	cancel()
	clients.Wait()
	if len(all) < 200 {
		t.Errorf("%d ciphertexts: too little traffic to prove anything", len(all))
	}
	listed, err := r.client(r.nodes[1], 3).ListKeyRotations(ctx(t), &kms.ListKeyRotationsInput{KeyId: id})
	if err != nil || len(listed.Rotations) != rotations {
		t.Errorf("%d rotations are listed of %d that were acknowledged, %v", len(listed.Rotations), rotations, err)
	}
	for i, p := range r.nodes {
		c := r.client(p, 3)
		for n := i; n < len(all); n += 1 + len(all)/300 {
			r.opens(ctx(t), t, c, all[n])
		}
	}
	t.Logf("%d ciphertexts over %d rotations", len(all), rotations)
}

// opens holds that a ciphertext decrypts. A client that was told nothing because its node was down has not been refused.
func (r *regionOf) opens(run context.Context, t *testing.T, c *kms.Client, s sealed) {
	out, err := c.Decrypt(run, &kms.DecryptInput{CiphertextBlob: s.ciphertext})
	switch {
	case err != nil && (refusal(err) || run.Err() == nil && t.Context().Err() == nil && !unreachable(err)):
		t.Errorf("an acknowledged ciphertext does not open: %v", err)
	case err == nil && string(out.Plaintext) != string(s.plaintext):
		t.Errorf("opened to %q, want %q", out.Plaintext, s.plaintext)
	}
}

// refusal tells an answer of the service that is the client's fault.
func refusal(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient
}

// unreachable tells a node that was down or could not serve for the moment from one that answered.
func unreachable(err error) bool {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) {
		return true
	}
	return response.HTTPStatusCode() == 0 || response.HTTPStatusCode() >= 500
}
