package server_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/server"
)

// What bounds the API changes for those who are there: pages of which origin may use it,
// and how often it may be called.
func TestReloadTheBoundsOfTheAPI(t *testing.T) {
	f := startFiltering(t, "auto", `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0", rate: 0, cors: []}
`)
	const page = "https://page.example"
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	metrics := func() *http.Response {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Origin", page)
		res, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	allowed := func(want string) {
		t.Helper()
		if res := metrics(); res.StatusCode != http.StatusOK || res.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	}
	allowed("")
	f.reload("cors: []", `cors: ["`+page+`"]`)
	allowed(page)
	f.reload("rate: 0", "rate: 1/s")
	limited := false
	for range 1000 {
		limited = limited || metrics().StatusCode == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("a thousand calls were let in")
	}
	f.reload("rate: 1/s, cors: [\""+page+"\"]", "rate: 0, cors: []")
	allowed("")
	f.refused("cors: []", `cors: ["nonsense"]`, nil, "nonsense")
	if s := f.ConfigStatus(); s.Applied != 3 || len(s.Restart) != 0 {
		t.Errorf("%+v", s)
	}
}

// A token under two names would have the role of either: it is refused at the start and by
// a reload, however it comes there, and never shown.
func TestOneTokenOfTwoNames(t *testing.T) {
	const secret = "planted-planted-planted"
	t.Setenv("TOKEN_OF_A", secret)
	t.Setenv("TOKEN_OF_B", secret+"\n")
	t.Setenv("TOKEN_OF_C", "another-another-another")
	const one = `
listeners: [{name: lines, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0", tokens: {b: {role: operate, env: TOKEN_OF_B}, a: {role: read, env: TOKEN_OF_C}}}
`
	same := strings.Replace(one, "TOKEN_OF_C", "TOKEN_OF_A", 1)
	named := func(err error) {
		t.Helper()
		if !errors.Is(err, admin.ErrSameToken) || !strings.Contains(err.Error(), "api.tokens.b") || !strings.Contains(err.Error(), "of a;") || strings.Contains(err.Error(), "planted") {
			t.Errorf("got %v", err)
		}
	}
	cfg, err := config.Load(config.Options{File: "weft.yaml", Data: []byte(same)})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // it does not depend on the order of a map
		named(server.CheckAccess(cfg))
	}
	_, err = server.New(t.Context(), server.Options{Config: cfg, Logger: slog.New(slog.DiscardHandler)})
	named(err)

	f := startFiltering(t, "auto", one)
	f.refused("TOKEN_OF_C", "TOKEN_OF_A", admin.ErrSameToken, "api.tokens.b")
	f.reload("TOKEN_OF_C", "TOKEN_OF_C")
}
