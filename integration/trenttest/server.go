package trenttest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trentkms/trent/integration/ports"
)

// Options describe a node. The zero value is a node as trent dev starts it, with a log for debugging.
type Options struct {
	// Dir is the data directory; a temporary one if empty.
	Dir string
	// Args are further flags of trent dev.
	Args []string
	// Env are further variables of the process.
	Env []string
	// Faults tells that the test makes the node log errors; without it a logged error is a finding.
	Faults bool
}

// regionPorts is how many ports trent dev --regions has between regions.
const regionPorts = 10

// listen chooses the port of the API, with room for those of further regions.
func (o *Options) listen() (string, error) {
	n := 1
	if slices.Contains(o.Args, "--regions") {
		n = 5 * regionPorts
	}
	port, err := ports.Range(n)
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

// Bounds of a node's start and stop. They are far above what a node needs: a test that waits so long has found something.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
)

// Server is a node that runs, or did. It is safe for concurrent use but for Stop, Kill and Restart.
type Server struct {
	// Dir is the data directory.
	Dir string
	// Endpoint is the URL of the API; it stays the same over restarts.
	Endpoint string
	// Region, AccessKeyID and Secret are what env.sh says.
	Region, AccessKeyID, Secret string
	// Journal holds every answer that this server's clients got.
	Journal *Journal

	opts      Options
	http      *http.Client
	transport *http.Transport
	cmd       *exec.Cmd
	log       *Buffer    // standard error
	out       *Buffer    // standard output, which shows the credentials
	ended     chan error // receives the process's end
	plant     planted
}

// Open starts a node and waits until it serves. The caller stops it.
func Open(opts Options) (*Server, error) {
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "trent-data-")
		if err != nil {
			return nil, err
		}
		opts.Dir = dir
	}
	s := &Server{Dir: opts.Dir, Journal: newJournal(), opts: opts, log: &Buffer{}, out: &Buffer{}}
	s.transport = &http.Transport{MaxIdleConnsPerHost: 256}
	s.http = &http.Client{Transport: &recorder{s.Journal, s.transport}, Timeout: 60 * time.Second}
	listen, err := s.opts.listen()
	if err != nil {
		return nil, err
	}
	if err := s.start(listen); err != nil {
		return nil, err
	}
	return s, nil
}

// Start is Open for a test: the node is stopped and checked (see Check) when the test ends.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	if opts.Dir == "" {
		opts.Dir = filepath.Join(tb.TempDir(), "data")
	}
	s, err := Open(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Finish(); err != nil {
			tb.Errorf("node in %s: %v\n%s", s.Dir, err, s.tail())
		}
	})
	return s
}

// start runs the process and waits until it answers.
func (s *Server) start(listen string) error {
	binary, err := Binary()
	if err != nil {
		return err
	}
	envFile := filepath.Join(s.Dir, "env.sh")
	if err := os.Remove(envFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	args := append([]string{"dev", "--data", s.Dir, "--listen", listen, "--log-level", "debug"}, s.opts.Args...)
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = s.out, s.log
	cmd.Env = append(os.Environ(), append([]string{"GORACE=halt_on_error=1"}, s.opts.Env...)...)
	cmd.SysProcAttr = ends()
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.ended = cmd, make(chan error, 1)
	go func() { s.ended <- cmd.Wait() }()
	if err := s.await(envFile); err != nil {
		_ = s.Kill()
		return fmt.Errorf("start trent %s: %w\n%s", strings.Join(args, " "), err, s.tail())
	}
	return nil
}

// await polls for the file that trent dev writes when it is ready to listen.
func (s *Server) await(envFile string) error {
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("the process ended: %w", err)
		case <-deadline.C:
			return fmt.Errorf("not ready after %v", startTimeout)
		case <-poll.C:
		}
		if env, err := readEnv(envFile); err == nil {
			s.Endpoint, s.Region = env["AWS_ENDPOINT_URL_KMS"], env["AWS_REGION"]
			s.AccessKeyID, s.Secret = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
			return s.trust(env["AWS_CA_BUNDLE"])
		}
	}
}

// trust lets the clients trust the node's own certificate authority, if it serves HTTPS.
func (s *Server) trust(caFile string) error {
	if caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", caFile)
	}
	s.transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	return nil
}

// Address is the host and port of the API.
func (s *Server) Address() string {
	_, address, _ := strings.Cut(s.Endpoint, "://")
	return address
}

// Restart starts the node again, on the same data and port, after Stop or Kill. It returns how long that took.
func (s *Server) Restart() (time.Duration, error) {
	begin := time.Now()
	s.http.CloseIdleConnections()
	err := s.start(s.Address())
	return time.Since(begin), err
}

// Kill ends the process as a power cut would (SIGKILL) and waits for its end.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := <-s.ended
	s.ended <- err
	return nil
}

// Stop ends the process as an operator would (SIGTERM). It fails if the process did not end cleanly.
func (s *Server) Stop() error {
	s.http.CloseIdleConnections() // a node waits some seconds for connections that are open and were never used
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case err := <-s.ended:
		s.ended <- err
		return err
	case <-time.After(stopTimeout):
		_ = s.Kill()
		return fmt.Errorf("did not stop within %v", stopTimeout)
	}
}

// Finish stops the node if it still runs, checks it and removes its directory.
func (s *Server) Finish() error {
	err := s.Stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		err = nil // the test killed it
	}
	err = errors.Join(err, s.Check(context.Background()))
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// Log is what the process wrote to its standard error so far.
func (s *Server) Log() string { return s.log.String() }

// tail is the end of the log, without what only debugging needs.
func (s *Server) tail() string {
	const last = 4 << 10
	var b strings.Builder
	for line := range strings.Lines(s.Log()) {
		if !strings.Contains(line, "level=DEBUG") && !strings.Contains(line, "level=INFO") {
			b.WriteString(line)
		}
	}
	log := b.String()
	return log[max(0, len(log)-last):]
}

// Dial opens a bare connection to the node, for requests that no client would send.
func (s *Server) Dial() (net.Conn, error) { return net.Dial("tcp", s.Address()) }
