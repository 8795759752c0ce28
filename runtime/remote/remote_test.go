package remote_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/remote"
)

// site is a store with one document, for the tests that every store passes.
type site struct {
	address string // of the document, with what lets one in
	put     func(value string)
	// fall ends the store, rise starts it again with what it had.
	fall, rise func()
}

// follow goes through the life of a document: nobody has written it, somebody does, it
// changes, the store falls and rises and the document has changed meanwhile.
func follow(t *testing.T, s site) {
	t.Helper()
	source, err := remote.Parse(s.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Read(t.Context()); !errors.Is(err, remote.ErrNone) {
		t.Fatalf("without a document: %v, want ErrNone", err)
	}
	s.put("one")
	first, err := source.Read(t.Context())
	if err != nil || string(first.Data) != "one" || first.Revision == 0 {
		t.Fatalf("got %q, %d, %v", first.Data, first.Revision, err)
	}

	log := &lines{}
	got, ctx := make(chan string, 16), t.Context()
	ctx, stop := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		source.Follow(ctx, first, slog.New(slog.NewTextHandler(log, nil)), func(d remote.Document) { got <- string(d.Data) })
	})
	defer following.Wait()
	defer stop()
	await := func(want string) {
		t.Helper()
		select {
		case value := <-got:
			if value != want {
				t.Errorf("got %q, want %q", value, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q does not come; the log has:\n%s", want, log)
		}
	}
	s.put("two")
	await("two")
	s.put("two") // another revision of the same
	s.put("three")
	await("three")
	if s.fall == nil {
		return
	}
	s.fall()
	if _, err := source.Read(t.Context()); err == nil || errors.Is(err, remote.ErrNone) {
		t.Errorf("of a store that is gone: %v", err)
	}
	s.rise()
	s.put("four")
	await("four")
	if strings.Contains(log.String(), "planted") {
		t.Errorf("a secret is in the log:\n%s", log)
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestNATS follows a key of a real nats-server that asks for a password.
func TestNATS(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("github.com/weftrun/weft/runtime/backbone/natstest.(*Server).Start.func1"))
	server := natstest.Start(t, natstest.Options{User: "weft", Password: "planted-password"})
	server.PutKey("weft", "another", "x") // the bucket is there, the key is not
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("planted-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	follow(t, site{
		address: "nats://weft@" + server.Addr() + "/weft/nodes/weft.yaml?password_file=" + password,
		put:     func(value string) { server.PutKey("weft", "nodes.weft.yaml", value) },
		fall:    server.Kill,
		rise:    func() { server.Start(); server.WaitReady() },
	})
	source, err := remote.Parse("nats://weft@" + server.Addr() + "/absent/weft.yaml?password_file=" + password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Read(t.Context()); !errors.Is(err, remote.ErrNone) || !strings.Contains(err.Error(), "nats kv add absent") {
		t.Errorf("without a bucket: %v", err)
	}
}

// TestParse refuses addresses with the way out, and shows no password.
func TestParse(t *testing.T) {
	for address, want := range map[string]string{
		"natz://h:4222/b/k":                     "did you mean nats?",
		"nats://h:4222":                         "expected nats://HOST:4222/BUCKET/KEY",
		"nats://h:4222/bucket":                  "expected nats://HOST:4222/BUCKET/KEY",
		"consul://h:8500/":                      "expected consul://HOST:8500/KEY",
		"etcd:///weft.yaml":                     "expected etcd://HOST:2379/KEY",
		"nats://me:planted@h:4222/b/k":          "?password_file=FILE",
		"consul://h:8500/k?tokenfile=x":         "did you mean token_file?",
		"etcd://h:2379/k?format=xml":            "expected yaml, toml or json",
		"etcd+tls://h:2379/k?ca=/absent/ca.pem": "?ca=",
		"nats://[::1/b/k":                       "no URL",
	} {
		if _, err := remote.Parse(address); !errors.Is(err, remote.ErrURL) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	for address, want := range map[string][2]string{
		"nats://me@a:1,b:2/bucket/weft.toml?password_file=/x": {"nats://a:1,b:2/bucket/weft.toml", "toml"},
		"consul://h:8500/weft/node":                           {"consul://h:8500/weft/node", "yaml"},
		"etcd+tls://h:2379/weft?format=json":                  {"etcd+tls://h:2379/weft", "json"},
	} {
		s, err := remote.Parse(address)
		if err != nil || s.Name != want[0] || s.Format != want[1] {
			t.Errorf("%s: %v, %+v", address, err, s)
		}
	}
}

// TestCopy keeps a document so that only its owner reads it.
func TestCopy(t *testing.T) {
	s, err := remote.Parse("etcd://h:2379/weft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "new")
	c := remote.CopyIn(folder, s)
	if _, _, err := c.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before it is saved: %v", err)
	}
	for _, text := range []string{"loops: 1\n", "loops: 2\n"} {
		if err := c.Save(remote.Document{Data: []byte(text), Revision: 7}); err != nil {
			t.Fatal(err)
		}
		got, since, err := c.Load()
		if err != nil || string(got.Data) != text || got.Revision != 0 || since.IsZero() {
			t.Errorf("got %+v, %v, %v", got, since, err)
		}
	}
	info, err := os.Stat(c.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// freeAddress is one where nobody listened a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func hostPort(t *testing.T, at string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
