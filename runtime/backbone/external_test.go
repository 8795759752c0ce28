package backbone_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/backbone/natstest"
	"github.com/weftrun/weft/runtime/ports"
	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// external opens a backbone on real servers; o may have access and a bound of time.
func external(t *testing.T, o backbone.Options, urls ...string) (*backbone.Backbone, error) {
	t.Helper()
	o.URLs, o.Node, o.Dir, o.Logger = urls, "one", t.TempDir(), slog.New(slog.DiscardHandler)
	if o.Within == 0 {
		o.Within = 20 * time.Second
	}
	b, err := backbone.Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() {
			if err := b.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return b, err
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternalLetsUsIn(t *testing.T) {
	ca := tlstest.NewCA(t, "test")
	dir := t.TempDir()
	roots := ca.Write(dir, "ca")
	cert, key := ca.WriteCert(dir, "server", ca.Issue(tlstest.Leaf{CN: "nats", DNS: []string{"nats.test"}, IPs: []string{"127.0.0.1"}}))
	ours, ourKey := ca.WriteCert(dir, "client", ca.Issue(tlstest.Leaf{CN: "weft"}))
	seed, public := "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
	cases := map[string]struct {
		server natstest.Options
		access backbone.Access
		wrong  backbone.Access
		says   string
	}{
		"password": {natstest.Options{User: "u", Password: "p"}, backbone.Access{User: "u", PasswordFile: file(t, "p\n")}, backbone.Access{User: "u", PasswordFile: file(t, "q")}, "password_file"},
		"token":    {natstest.Options{Token: "secret"}, backbone.Access{TokenFile: file(t, "secret")}, backbone.Access{}, "token_file"},
		"inline":   {natstest.Options{User: "u", Password: "p"}, backbone.Access{User: "u", Password: "p"}, backbone.Access{User: "u", Password: "q"}, "password_file"},
		"a token":  {natstest.Options{Token: "secret"}, backbone.Access{Token: "secret"}, backbone.Access{Token: "other"}, "token_file"},
		"nkey":     {natstest.Options{NKey: public}, backbone.Access{NKey: file(t, seed)}, backbone.Access{User: "u"}, "nkey"},
		"tls":      {natstest.Options{Cert: cert, Key: key}, backbone.Access{TLS: true, CA: roots}, backbone.Access{TLS: true}, "backbone.tls.ca"},
		"name":     {natstest.Options{Cert: cert, Key: key}, backbone.Access{TLS: true, CA: roots, ServerName: "nats.test"}, backbone.Access{TLS: true, CA: roots, ServerName: "other.test"}, "server_name"},
		"mtls":     {natstest.Options{Cert: cert, Key: key, CA: roots}, backbone.Access{TLS: true, CA: roots, Cert: ours, Key: ourKey}, backbone.Access{TLS: true, CA: roots}, "backbone.tls.cert"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := natstest.Start(t, c.server)
			b, err := external(t, backbone.Options{Access: c.access}, s.URL())
			if err != nil {
				t.Fatal(err)
			}
			state := b.State()
			if !state.Connected || !state.Reached || state.Server != s.Name() || !strings.Contains(state.URL, s.Addr()) || state.RTT == 0 {
				t.Errorf("%+v", state)
			}
			began := time.Now()
			_, err = external(t, backbone.Options{Access: c.wrong, Within: 5 * time.Minute}, s.URL())
			if !errors.Is(err, backbone.ErrAccess) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), s.Addr()) {
				t.Errorf("%v, want ErrAccess that names %s and says %q", err, s.Addr(), c.says)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s to see what trying again does not mend", took)
			}
		})
	}
}

func TestExternalIsNotThere(t *testing.T) {
	port, release, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	address := fmt.Sprintf("127.0.0.1:%d", port)
	_, err = external(t, backbone.Options{Within: time.Second}, "nats://"+address)
	if !errors.Is(err, backbone.ErrAway) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "backbone.url") {
		t.Errorf("%v, want ErrAway, refused, with %s", err, address)
	}
	s := natstest.Start(t, natstest.Options{NoJetStream: true})
	_, err = external(t, backbone.Options{Within: 5 * time.Second}, s.URL()) // it is asked again and again
	if err == nil || !strings.Contains(err.Error(), "no JetStream") || !strings.Contains(err.Error(), "-js") {
		t.Errorf("%v, want that there is no JetStream", err)
	}
	_, err = external(t, backbone.Options{Access: backbone.Access{TLS: true}}, s.URL())
	if !errors.Is(err, backbone.ErrAccess) || !strings.Contains(err.Error(), "no TLS") {
		t.Errorf("%v, want that there is no TLS", err)
	}
}

// await waits until the state is as wanted.
func await(t *testing.T, b *backbone.Backbone, want func(backbone.State) bool) backbone.State {
	t.Helper()
	changed := make(chan struct{}, 1)
	stop := b.Watch(func(backbone.State) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	timeout := time.After(60 * time.Second)
	for {
		if s := b.State(); want(s) {
			return s
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the state stays %+v", b.State())
		}
	}
}

func TestExternalComesBack(t *testing.T) {
	ctx := t.Context()
	s := natstest.Start(t, natstest.Options{})
	b, err := external(t, backbone.Options{}, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	k := bucket(t, b, backbone.BucketOptions{Name: "kept"})
	if _, err := k.Put(ctx, "before", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	changes, err := k.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Key != "before" {
		t.Fatalf("%+v", c)
	}
	if c := <-changes; !c.Ready {
		t.Fatalf("%+v", c)
	}
	s.Kill()
	state := await(t, b, func(s backbone.State) bool { return !s.Connected })
	if !state.Reached || state.Since.IsZero() {
		t.Errorf("%+v", state)
	}
	if _, err := k.Put(ctx, "while", nil, 0); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	if _, err := b.Status(ctx); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("%v, want ErrAway", err)
	}
	s.Start()
	s.WaitReady()
	state = await(t, b, func(s backbone.State) bool { return s.Connected })
	if state.Reconnects != 1 {
		t.Errorf("%+v, want one reconnect", state)
	}
	if _, err := k.Put(ctx, "after", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"after"} {
		select {
		case c := <-changes:
			if c.Key != want {
				t.Errorf("%+v, want %s", c, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the watch did not come back")
		}
	}
	if value, _, err := k.Get(ctx, "before"); err != nil || string(value) != "1" {
		t.Errorf("%q, %v", value, err)
	}
}

func TestExternalCluster(t *testing.T) {
	ctx := t.Context()
	list := natstest.Cluster(t, 3)
	b, err := external(t, backbone.Options{}, natstest.URLs(list)...)
	if err != nil {
		t.Fatal(err)
	}
	k := bucket(t, b, backbone.BucketOptions{Name: "kept", Fresh: true})
	changes, err := k.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	rev, err := k.Create(ctx, "counter", []byte("0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	leader := natstest.Leader(t, list, "KV_weft_kept")
	leader.Kill()
	const writes = 20
	for i := 1; i <= writes; {
		next, err := k.Update(ctx, "counter", fmt.Append(nil, i), rev, 0)
		switch {
		case err == nil:
			rev = next
			i++
		case errors.Is(err, backbone.ErrAway):
		case errors.Is(err, backbone.ErrConflict): // ours, whose answer was lost
			value, now, err := k.Get(ctx, "counter")
			if err == nil && string(value) == fmt.Sprint(i) {
				rev = now
				i++
			} else if err == nil && now != rev {
				t.Fatalf("%q of revision %d, after %d of %d", value, now, i-1, rev)
			}
		default:
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	last := ""
	for last != fmt.Sprint(writes) {
		select {
		case c := <-changes:
			last = string(c.Value)
		case <-time.After(60 * time.Second):
			t.Fatalf("the watch stopped at %q", last)
		}
	}
	leader.Start()
	leader.WaitReady()
	if value, _, err := k.Get(ctx, "counter"); err != nil || string(value) != fmt.Sprint(writes) {
		t.Errorf("%q, %v", value, err)
	}
	status, err := b.Status(ctx)
	if err != nil || status.Streams != 1 || status.State.Cluster != "test" || status.Embedded {
		t.Errorf("%+v, %v", status, err)
	}
}

// A cluster that is slow to answer while a node starts is asked again.
func TestAClusterThatIsSlowToAnswer(t *testing.T) {
	server := natstest.Start(t, natstest.Options{})
	b, err := external(t, backbone.Options{}, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	server.Pause()
	resumed := make(chan struct{})
	defer func() { <-resumed }()
	time.AfterFunc(6*time.Second, func() { // longer than one question waits
		server.Resume()
		close(resumed)
	})
	opened := make(chan error, 2)
	go func() {
		_, err := b.Bucket(t.Context(), backbone.BucketOptions{Name: "slow"})
		opened <- err
	}()
	go func() {
		l, err := b.Log(t.Context(), backbone.LogOptions{Name: "slow"})
		if err == nil {
			defer l.Close(t.Context())
		}
		opened <- err
	}()
	for range 2 {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	server.Pause()
	defer server.Resume()
	if _, err := b.Bucket(ctx, backbone.BucketOptions{Name: "hurried"}); !errors.Is(err, backbone.ErrAway) {
		t.Errorf("a start that was ended: %v", err)
	}
}
