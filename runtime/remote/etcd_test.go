package remote_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/remote"
	"github.com/weftrun/weft/runtime/remote/remotetest"
)

// TestEtcd follows a key of what answers as etcd does, by a user whose token expires.
func TestEtcd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e := remotetest.StartEtcd(t, "planted-password")
	defer e.Fall()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("planted-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	follow(t, site{
		address: "etcd://weft@" + e.Address() + "/weft/weft.yaml?password_file=" + password,
		put:     func(value string) { e.Put("weft/weft.yaml", value) },
		fall:    e.Fall, rise: func() { e.Expire(); e.Rise() },
	})
	if err := os.WriteFile(password, []byte("planted-wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := remote.Parse("etcd://weft@" + e.Address() + "/weft/weft.yaml?password_file=" + password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "authentication failed") || strings.Contains(err.Error(), "planted") {
		t.Errorf("with a wrong password: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestConsul follows a key of what answers blocking queries as Consul does, to who shows
// a token.
func TestConsul(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c := &consulKey{changed: make(chan struct{})}
	server := httptest.NewServer(c)
	defer server.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("planted-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	follow(t, site{address: "consul://" + strings.TrimPrefix(server.URL, "http://") + "/weft/weft.yaml?token_file=" + token, put: c.put})
}

// consulKey is one key of Consul.
type consulKey struct {
	mu      sync.Mutex
	value   string
	index   uint64
	changed chan struct{}
}

func (c *consulKey) put(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value = value
	c.index++
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *consulKey) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("X-Consul-Token") != "planted-token" || q.URL.Path != "/v1/kv/weft/weft.yaml" {
		http.Error(w, "Permission denied", http.StatusForbidden)
		return
	}
	after, _ := strconv.ParseUint(q.URL.Query().Get("index"), 10, 64)
	for {
		c.mu.Lock()
		value, index, changed := c.value, c.index, c.changed
		c.mu.Unlock()
		w.Header().Set("X-Consul-Index", strconv.FormatUint(max(index, 1), 10))
		switch {
		case index == 0:
			http.NotFound(w, q)
			return
		case index > after:
			fmt.Fprintf(w, `[{"LockIndex":0,"Key":"weft/weft.yaml","Flags":0,"Value":%s,"CreateIndex":1,"ModifyIndex":%d}]`, strconv.Quote(base64Of(value)), index)
			return
		}
		select {
		case <-q.Context().Done():
			return
		case <-changed:
		}
	}
}
