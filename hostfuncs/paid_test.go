package hostfuncs

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/weftrun/weft/abi"
)

// till counts what is paid.
type till struct{ units int64 }

func (p *till) Pay(units int64) bool {
	p.units += units
	return true
}

// paid is what work costs its guest.
func paid(t *testing.T, work func(context.Context)) int64 {
	t.Helper()
	p := &till{}
	work(WithPurse(t.Context(), p))
	return p.units
}

// TestSmallThingsArePaid: what the host does for each line of output and each field of
// a header costs as many units as there are, however few bytes they take.
func TestSmallThingsArePaid(t *testing.T) {
	const lines = 1000
	clock := SystemClock{}
	wasi := newWASIFuncs(newLogFuncs(LogGrant{}, slog.New(slog.DiscardHandler), clock), nil, nil)
	if units := paid(t, func(ctx context.Context) { wasi.print(WithStdio(ctx), 1, bytes.Repeat([]byte("a\n"), lines)) }); units < lines*300 {
		t.Errorf("%d lines of output cost %d units", lines, units)
	}
	f, err := newHTTPFuncs(HTTPGrant{Hosts: []string{"a.example.org"}}, http.DefaultTransport, false)
	if err != nil {
		t.Fatal(err)
	}
	var header abi.Attributes
	fields := int64(0)
	for ; len(header)+5 <= abi.MaxHTTPHeader; fields++ {
		header = header.AppendString("x", "")
	}
	request := func(url string, header abi.Attributes, want abi.Status) int64 {
		return paid(t, func(ctx context.Context) {
			if _, status := f.newRequest(ctx, nil, []byte(url), header, nil); status != want {
				t.Errorf("%.40s: %v, expected %v", url, status, want)
			}
		})
	}
	if units := request("https://a.example.org/", header, abi.StatusOK); units < fields*1000 {
		t.Errorf("a header of %d fields costs %d units", fields, units)
	}
	if units := request("https://b.example.org/", header, abi.StatusDenied); units > fields*100 {
		t.Errorf("the header was read, for %d units, before the host was refused", units)
	}
	long := "https://a.example.org/" + string(bytes.Repeat([]byte("\""), 8000))
	if units := request(long, nil, abi.StatusOK); units < 500_000 {
		t.Errorf("a URL of %d bytes costs %d units", len(long), units)
	}
}
