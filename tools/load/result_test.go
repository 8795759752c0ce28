package load_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/tools/load"
)

var update = flag.Bool("update", false, "write golden files")

func sample(protocol string) *load.Result {
	h := load.NewHistogram()
	for ns := int64(10_000); ns <= 1_000_000; ns += 10_000 {
		h.Record(ns)
	}
	return &load.Result{
		Protocol: protocol, Mode: load.Closed, Publishers: 1, Subscribers: 2, Topics: 3, PayloadBytes: 128, FrameBytes: 137, Window: 100,
		Counts:    load.Counts{Sent: 1000, Expected: 2000, Received: 2001, Lost: 1, Duplicates: 2, OutOfOrder: 3, Foreign: 0},
		Measured:  load.Measured{Seconds: 2, Sent: 800, Received: 1600, Rate: 800, MegabytesPerSecond: 0.1024, LagNanoseconds: 5},
		Latency:   h.Summary(),
		Histogram: h,
		Server:    &load.CPU{Seconds: 0.5, PerMessage: 312.5},
		Driver:    &load.CPU{Seconds: 0.25, PerMessage: 156.25},
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}

func TestResultIsStable(t *testing.T) {
	r := sample("mcp-seq")
	bare := *r
	bare.Histogram = nil // its encoding is compressed: another Go, other bytes
	b, err := bare.JSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/result.json", b)
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/result.txt", table.Bytes())
	if b, err = r.JSON(); err != nil {
		t.Fatal(err)
	}
	var again load.Result
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if c, err := again.JSON(); err != nil || !bytes.Equal(b, c) {
		t.Errorf("read and written again: %v\n%s", err, c)
	}
}

func TestResultsMerge(t *testing.T) {
	a, b := sample("mcp-seq"), sample("mcp-seq")
	b.Server = nil
	b.Histogram.Record(int64(time.Second))
	if err := a.Merge(b); err != nil {
		t.Fatal(err)
	}
	if a.Counts.Sent != 2000 || a.Measured.Rate != 1600 || a.Measured.Seconds != 2 || a.Publishers != 2 {
		t.Errorf("%+v", a)
	}
	if a.Latency.Samples != 201 || a.Latency.Max < int64(time.Second) {
		t.Errorf("%+v", a.Latency)
	}
	if a.Server.Seconds != 0.5 || a.Driver.Seconds != 0.5 || a.Server.PerMessage != 0.5e6/3200 {
		t.Errorf("server %+v, driver %+v", a.Server, a.Driver)
	}
	if err := a.Merge(sample("nats")); !errors.Is(err, load.ErrMerge) {
		t.Errorf("got %v", err)
	}
}

func TestHistogramOutsideItsRange(t *testing.T) {
	h := load.NewHistogram()
	if s := h.Summary(); s != (load.Latency{}) {
		t.Errorf("empty: %+v", s)
	}
	h.Record(-5)
	h.Record(int64(48 * time.Hour))
	if s := h.Summary(); s.Samples != 2 || s.Min != 0 || s.Max < int64(time.Hour) {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{`5`, `"not base64"`} {
		if err := json.Unmarshal([]byte(bad), load.NewHistogram()); err == nil {
			t.Errorf("%s was taken for a histogram", bad)
		}
	}
}

func TestToken(t *testing.T) {
	key := []byte("a key")
	token := string(load.TokenHello(key, time.Hour)(load.Peer{Role: load.RoleSubscriber, Index: 7, Subscribe: []string{"truck/#"}}))
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatal(token)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != parts[2] {
		t.Error("the signature is wrong")
	}
	var header map[string]string
	var claims load.Claims
	for i, into := range []any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	if header["alg"] != "HS256" || claims.Subject != "subscriber-7" || claims.Subscribe[0] != "truck/#" {
		t.Errorf("%v, %+v", header, claims)
	}
	if left := time.Until(time.Unix(claims.Expires, 0)); left < 50*time.Minute || left > time.Hour {
		t.Errorf("expires in %v", left)
	}
	// Signed by openssl dgst -sha256 -hmac secret.
	got, err := load.Token([]byte("secret"), load.Claims{Subject: "x"})
	if err != nil || got != "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.TKECX_pF_bzlcgrzGibhwL3tklDD4LdEEzXVQCw00qY" {
		t.Errorf("%s, %v", got, err)
	}
}
