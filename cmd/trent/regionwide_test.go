package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
)

// TestRegionWide: on a region of three nodes, a request quota counts the calls of all nodes together, and a lookup through any node finds
// the records of all of them, each once.
func TestRegionWide(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in -short mode")
	}
	o := &devOptions{region: "us-east-1", account: "111122223333", data: t.TempDir(), listen: "127.0.0.1:0", nodes: 3, hsm: "embedded",
		logLevel: "error", quotas: "aws"}
	g := &devGroup{o: o}
	env, listeners, err := g.start(t.Context())
	if err != nil {
		g.close()
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx, listeners) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var clients []*kms.Client
	s := &served{t: t, node: g.nodes[0], file: g.nodes[0].cfg, id: env.keyID, secret: string(env.secret)}
	urls := g.endpoints(listeners)
	for _, e := range urls {
		clients = append(clients, kms.New(kms.Options{Region: o.region, BaseEndpoint: aws.String(e.URL), Retryer: aws.NopRetryer{},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
			})}))
	}

	key, err := clients[0].CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if _, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyMetadata.Arn}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range urls {
		s.url = e.URL
		for event, want := range map[string]int{"CreateKey": 1, "DescribeKey": 3} {
			out, err := s.trent(s.id, s.secret, "audit", "lookup", "--key", *key.KeyMetadata.KeyId, "--event", event)
			if got := strings.Count(out, "\n"); err != nil || got != want {
				t.Errorf("through %s: %d records of %s, want %d, %v\n%s", e.Node, got, event, want, err, out)
			}
		}
	}

	// Five calls a second of an operation that costs nothing else: UnsupportedOperationException, or throttled.
	const rate, length = 5, 2 * time.Second
	var granted, throttled atomic.Int64
	start := time.Now()
	var wait sync.WaitGroup
	for i := range 9 {
		wait.Go(func() {
			for time.Since(start) < length {
				_, err := clients[i%len(clients)].DescribeCustomKeyStores(t.Context(), &kms.DescribeCustomKeyStoresInput{})
				var e smithy.APIError
				switch {
				case !errors.As(err, &e):
					t.Errorf("DescribeCustomKeyStores: %v", err)
					return
				case e.ErrorCode() == "ThrottlingException":
					throttled.Add(1)
				default:
					granted.Add(1)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	wait.Wait()
	took := time.Since(start)
	if most := int64(rate * (took.Seconds() + 2)); granted.Load() > most || granted.Load() < rate || throttled.Load() == 0 {
		t.Errorf("%d calls were granted and %d throttled in %v; the quota is %d a second for the region", granted.Load(), throttled.Load(), took, rate)
	}
}
