// Package remotetest has stores of configurations for tests that have to do without a real
// one: what they answer is what etcd 3.4 and Consul 1.20 have been seen to answer.
package remotetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
)

// Etcd answers as etcd's JSON gateway does, on one port, for one key at a time.
type Etcd struct {
	t        testing.TB
	address  string
	password string

	mu       sync.Mutex
	server   *http.Server
	key      string
	value    []byte
	revision uint64
	token    int // that holds
	changed  chan struct{}
}

// StartEtcd starts one that lets everybody in, or with a password the user weft.
func StartEtcd(t testing.TB, password string) *Etcd {
	t.Helper()
	e := &Etcd{t: t, address: "127.0.0.1:0", password: password, revision: 1, changed: make(chan struct{})}
	e.Rise()
	t.Cleanup(e.Fall)
	return e
}

// Address is its host and port.
func (e *Etcd) Address() string { return e.address }

// Put writes the key, and forgets any other.
func (e *Etcd) Put(key, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.key, e.value = key, []byte(value)
	e.revision++
	e.notify()
}

// Expire takes the token away with which the user was let in.
func (e *Etcd) Expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.token++
	e.notify()
}

func (e *Etcd) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Fall ends it, and every connection.
func (e *Etcd) Fall() {
	e.mu.Lock()
	server := e.server
	e.mu.Unlock()
	_ = server.Close()
}

// Rise starts it again at its address.
func (e *Etcd) Rise() {
	e.t.Helper()
	l, err := net.Listen("tcp", e.address)
	if err != nil {
		e.t.Fatal(err)
	}
	e.address = l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v3/kv/range", e.get)
	mux.HandleFunc("POST /v3/watch", e.watch)
	mux.HandleFunc("POST /v3/auth/authenticate", e.login)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = &http.Server{Handler: mux} //nolint:gosec // of a test
	go func() { _ = e.server.Serve(l) }()
}

func (e *Etcd) login(w http.ResponseWriter, q *http.Request) {
	var who struct{ Name, Password string }
	if json.NewDecoder(q.Body).Decode(&who) != nil || who.Name != "weft" || who.Password != e.password {
		refuse(w, http.StatusBadRequest, "etcdserver: authentication failed, invalid user ID or password")
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(w, `{"header":{"cluster_id":"14841639068965178418"},"token":"token.%d"}`, e.token)
}

// let tells whether the request's token holds.
func (e *Etcd) let(w http.ResponseWriter, q *http.Request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.password == "" || q.Header.Get("Authorization") == "token."+strconv.Itoa(e.token) {
		return true
	}
	refuse(w, http.StatusUnauthorized, "etcdserver: invalid auth token")
	return false
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q,"code":16,"message":%q}`, why, why)
}

type pair struct {
	Key            []byte `json:"key"`
	CreateRevision string `json:"create_revision"`
	ModRevision    string `json:"mod_revision"`
	Version        string `json:"version"`
	Value          []byte `json:"value"`
}

func (e *Etcd) pair() pair {
	return pair{[]byte(e.key), "2", strconv.FormatUint(e.revision, 10), "1", e.value}
}

func (e *Etcd) get(w http.ResponseWriter, q *http.Request) {
	if !e.let(w, q) {
		return
	}
	var asked struct{ Key []byte }
	_ = json.NewDecoder(q.Body).Decode(&asked) // else there is no such key
	e.mu.Lock()
	defer e.mu.Unlock()
	answer := map[string]any{"header": map[string]string{"revision": strconv.FormatUint(e.revision, 10)}}
	if e.value != nil && string(asked.Key) == e.key {
		answer["kvs"], answer["count"] = []pair{e.pair()}, "1"
	}
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

func (e *Etcd) watch(w http.ResponseWriter, q *http.Request) {
	if !e.let(w, q) {
		return
	}
	var asked struct {
		Create struct {
			Key   []byte `json:"key"`
			Start uint64 `json:"start_revision,string"`
		} `json:"create_request"`
	}
	if err := json.NewDecoder(q.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	say := func(result string) {
		fmt.Fprintf(w, "{\"result\":%s}\n", result)
		_ = http.NewResponseController(w).Flush() // the client may be gone
	}
	say(`{"header":{"revision":"1"},"created":true}`)
	for {
		e.mu.Lock()
		newer, one, changed := e.revision >= asked.Create.Start && e.key == string(asked.Create.Key), e.pair(), e.changed
		e.mu.Unlock()
		if newer {
			text, err := json.Marshal(one)
			if err != nil {
				return
			}
			say(fmt.Sprintf(`{"header":{"revision":%q},"events":[{"kv":%s}]}`, one.ModRevision, text))
			asked.Create.Start, _ = strconv.ParseUint(one.ModRevision, 10, 64)
			asked.Create.Start++
		}
		select {
		case <-q.Context().Done():
			return
		case <-changed:
		}
	}
}
