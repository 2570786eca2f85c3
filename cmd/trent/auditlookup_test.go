package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestAuditLookupAndTail: an operator finds records by what they are about, page by page, and follows them as they come.
func TestAuditLookupAndTail(t *testing.T) {
	s := newServed(t)
	client := kms.New(kms.Options{Region: s.file.Region, BaseEndpoint: &s.url, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
	})})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	describe := func() {
		t.Helper()
		if _, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyMetadata.KeyId}); err != nil {
			t.Fatal(err)
		}
	}
	const calls = 250 // more than two pages
	for range calls {
		describe()
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--event", "DescribeKey", "--limit", "1000"}, calls}, {[]string{"--event", "DescribeKey", "--limit", "120"}, 120},
		{[]string{"--key", *key.KeyMetadata.KeyId, "--event", "CreateKey"}, 1}, {[]string{"--principal", "arn:aws:iam::111122223333:root", "--event", "CreateKey"}, 1},
		{[]string{"--event", "DescribeKey", "--from", "2999-01-01T00:00:00Z"}, 0}, {[]string{"--user", "nobody"}, 0},
	} {
		out, err := s.trent(s.id, s.secret, append([]string{"audit", "lookup"}, c.args...)...)
		if got := strings.Count(out, "\n"); err != nil || got != c.want {
			t.Errorf("%v: %d records, want %d, %v", c.args, got, c.want, err)
		}
		ids := map[string]bool{}
		for line := range strings.Lines(out) {
			var r struct{ EventID string }
			if err := json.Unmarshal([]byte(line), &r); err != nil || ids[r.EventID] {
				t.Errorf("%v: a record twice, or none: %v in %s", c.args, err, line)
			}
			ids[r.EventID] = true
		}
	}
	if _, err := s.trent(s.id, s.secret, "audit", "lookup", "--from", "yesterday"); err == nil || !strings.Contains(err.Error(), "is not a time") {
		t.Errorf("a bad time: %v", err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	from, to := io.Pipe()
	cmd := root()
	cmd.SetArgs([]string{"audit", "tail", "--event", "DescribeKey"})
	cmd.SetOut(to)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		to.CloseWithError(io.EOF)
		ended <- err
	}()
	// The tail begins when its own record is there; nothing tells the reader, so it asks until something comes.
	lines := make(chan string)
	go func() {
		for sc := bufio.NewScanner(from); sc.Scan(); {
			lines <- sc.Text()
		}
		close(lines)
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for line := ""; line == ""; {
		describe()
		select {
		case line = <-lines:
			if !strings.Contains(line, `"eventName":"DescribeKey"`) {
				t.Errorf("the tail has %q", line)
			}
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the tail shows nothing")
		}
	}
	go func() {
		for range lines {
		}
	}()
	s.stop() // a stream does not hold up the node's end
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "ended the stream") {
		t.Errorf("the tail ended with %v", err)
	}
}
