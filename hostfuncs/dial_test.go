package hostfuncs

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/weftrun/weft/abi"
)

// TestNamesLeadOutside: a granted name does not lead to the machine itself, whatever
// its owner lets it resolve to; an address that was granted does.
func TestNamesLeadOutside(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return dnsSaysLoopback(t), nil }}
	transport := NewHTTPTransport()
	transport.DialContext = dialOutside(net.Dialer{Resolver: resolver})
	defer transport.CloseIdleConnections()
	for host, want := range map[string]abi.Status{
		"127.0.0.1": abi.StatusOK, "rebound.example.org": abi.StatusDenied,
	} {
		f, err := newHTTPFuncs(HTTPGrant{Hosts: []string{"http://" + host + ":" + port}}, transport, false)
		if err != nil {
			t.Fatal(err)
		}
		r, status := f.newRequest(t.Context(), nil, []byte("http://"+host+":"+port+"/"), nil, nil)
		if status != abi.StatusOK {
			t.Fatal(status)
		}
		if _, status := f.do(t.Context(), r); status != want {
			t.Errorf("%s: %v, expected %v", host, status, want)
		}
	}
	_, err = transport.DialContext(t.Context(), "tcp", "rebound.example.org:"+port)
	if !errors.Is(err, errOwn) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v", err)
	}
}

func TestOwnAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::": true, "0.0.0.0": true, "169.254.169.254": true, "fe80::1": true,
		"224.0.0.1": true, "ff02::1": true, "255.255.255.255": true, "10.0.0.7": false, "192.168.1.1": false, "fd00::1": false, "1.1.1.1": false,
	} {
		if got := isOwn(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// dnsSaysLoopback is a connection to a name server that answers every question of the
// kind A with 127.0.0.1, and others with nothing.
func dnsSaysLoopback(t *testing.T) net.Conn {
	server, client := net.Pipe()
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		defer server.Close()
		for {
			question := make([]byte, 1500) // over a stream a length comes first
			n, err := server.Read(question)
			if err != nil || n < 14 {
				return
			}
			question = question[2:n]
			end := 12
			for question[end] != 0 {
				end += 1 + int(question[end])
			}
			answer := append([]byte{}, question[:end+5]...)
			answer[2], answer[3] = 0x81, 0x80
			clear(answer[6:12])
			if question[end+2] == 1 {
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
			}
			if _, err := server.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...)); err != nil {
				return
			}
		}
	}()
	return client
}
