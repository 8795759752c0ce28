package session_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/router"
	"github.com/weftrun/weft/runtime/session"
)

func newSession(id uint64) *session.Session {
	return session.New(id, 3, 42, netip.MustParseAddrPort("127.0.0.1:5000"))
}

func newRegistry(limits session.Limits) *session.Registry {
	return session.NewRegistry(router.NewTrie[router.Subscriber](), limits)
}

func TestSession(t *testing.T) {
	for _, text := range []string{"127.0.0.1:5000", "[2001:db8::1]:7400", "[::ffff:10.0.0.1]:1"} {
		remote := netip.MustParseAddrPort(text)
		s := session.New(7, 3, 42, remote)
		if s.ID() != 7 || s.Listener() != 3 || s.Since() != 42 || s.Remote() != remote || s.Name() != "" {
			t.Errorf("%s: got %d %d %d %v %q", text, s.ID(), s.Listener(), s.Since(), s.Remote(), s.Name())
		}
	}
	if size := unsafe.Sizeof(session.Session{}); size > 144 {
		t.Errorf("a session is %d bytes", size)
	}
}

func TestContext(t *testing.T) {
	s := newSession(1)
	block := abi.Attributes(nil).AppendString("identity", "truck-7")
	if err := s.SetContext(block); err != nil {
		t.Fatal(err)
	}
	held := s.Context()
	block[len(block)-1] = '8'
	if v, _ := s.Context().Get("identity"); string(v) != "truck-7" {
		t.Errorf("the context is not a copy: %s", v)
	}
	if n := testing.AllocsPerRun(10, func() { _ = s.SetContext(held) }); n != 0 {
		t.Errorf("%v allocations for the same context", n)
	}
	if err := s.SetContext(block); err != nil {
		t.Fatal(err)
	}
	if v, _ := held.Get("identity"); string(v) != "truck-7" {
		t.Errorf("a context that was handed out became %s", v)
	}
	for _, bad := range []abi.Attributes{{1, 0}, bytes.Repeat(abi.Attributes(nil).AppendString("a", "b"), abi.MaxContext/6+1)} {
		if err := s.SetContext(bad); !errors.Is(err, abi.ErrAttributes) {
			t.Errorf("%.20x: got %v", bad, err)
		}
	}
	if v, _ := s.Context().Get("identity"); string(v) != "truck-8" {
		t.Errorf("a refused context left %s", v)
	}
	if err := s.SetContext(nil); err != nil || len(s.Context()) != 0 {
		t.Errorf("emptied: %v, %x", err, s.Context())
	}
}

func TestSubscriptions(t *testing.T) {
	r := newRegistry(session.Limits{Subscriptions: 3})
	s, other := newSession(1), newSession(2)
	for _, c := range []struct {
		pattern string
		added   bool
		err     error
	}{
		{"truck/*/in", true, nil},
		{"truck/+/in", false, nil},
		{"a/#", true, nil},
		{"a/#/b", false, router.ErrPattern},
		{"b", true, nil},
		{"c", false, session.ErrLimit},
		{"b", false, nil},
	} {
		if added, err := r.Subscribe(s, c.pattern); added != c.added || !errors.Is(err, c.err) {
			t.Errorf("%q: got %t, %v", c.pattern, added, err)
		}
	}
	if _, err := r.Subscribe(other, "a/#"); err != nil {
		t.Fatal(err)
	}
	if got := s.Subscriptions(); !slices.Equal(got, []string{"truck/+/in", "a/#", "b"}) {
		t.Errorf("got %q", got)
	}
	if r.Unsubscribe(s, "never") || !r.Unsubscribe(s, "truck/*/in") || r.Unsubscribe(s, "truck/+/in") {
		t.Error("unsubscribing went wrong")
	}
	if r.Stats().Subscriptions != 3 {
		t.Errorf("%+v", r.Stats())
	}
	r.Close(s)
	r.Close(s)
	if got := r.Topics().Match([]byte("a/b"), nil); !slices.Equal(got, []router.Subscriber{{Session: 2}}) {
		t.Errorf("after the close: %v", got)
	}
	if _, err := r.Subscribe(s, "x"); !errors.Is(err, session.ErrClosed) {
		t.Errorf("a closed session: %v", err)
	}
}
