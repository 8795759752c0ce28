package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/server"
	"github.com/weftrun/weft/runtime/tlsconf/tlstest"
)

// fleet is a CA with a server's files and a client's certificate.
type fleet struct {
	*tlstest.CA
	dir, ca, cert, key string
	truck              *tlstest.Cert
}

const svid = "spiffe://fleet.example/truck/7"

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{CA: tlstest.NewCA(t, "fleet"), dir: t.TempDir()}
	f.ca = f.Write(f.dir, "ca")
	f.cert, f.key = f.WriteCert(f.dir, "server", f.server("server"))
	f.truck = f.Issue(tlstest.Leaf{CN: "truck-7", DNS: []string{"truck-7.fleet.example"}, URIs: []string{svid}})
	return f
}

func (f *fleet) server(cn string) *tlstest.Cert {
	return f.Issue(tlstest.Leaf{CN: cn, DNS: []string{"localhost"}, IPs: []string{"127.0.0.1"}})
}

// client is the configuration of a client, with the truck's certificate or without.
func (f *fleet) client(own bool) *tls.Config {
	cfg := &tls.Config{RootCAs: f.Pool(), ServerName: "localhost", NextProtos: []string{"lines"}}
	if own {
		cfg.Certificates = []tls.Certificate{f.truck.TLS}
	}
	return cfg
}

func (f *fleet) yaml(more string) string {
	return fmt.Sprintf(`
listeners:
  - name: lines
    address: "127.0.0.1:0"
    frame: line
    topic: "truck/{tls.cn}/up"
    subscribe: ["truck/{tls.cn}/down"]
    node: "{tls.cn}"
    acknowledge: ""
    limits: {handshakes: 100}
    tls: {cert: %s, key: %s, client_ca: %s, alpn: [lines], %s}
api: {address: ""}
`, f.cert, f.key, f.ca, more)
}

// secure puts TLS on a connection.
func secure(c *client, cfg *tls.Config) *client {
	c.Conn = tls.Client(c.Conn, cfg)
	c.in = bufio.NewReader(c.Conn)
	return c
}

func receive(t *testing.T, sub admin.Subscription) admin.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := sub.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestIdentityByCertificate: what the certificate says is in the messages, their
// topics, the subscriptions, the node's name and the context.
func TestIdentityByCertificate(t *testing.T) {
	each(t, func(t *testing.T, driver string) {
		fl := newFleet(t)
		f := start(t, driver, fl.yaml("identity: spiffe"))
		sub, err := f.Bus().Subscribe(t.Context(), []string{"#"}, 4)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		c := secure(f.dial("lines"), fl.client(true))
		c.say(text("hello"))
		d := receive(t, sub)
		if string(d.Message.Topic) != "truck/truck-7/up" {
			t.Errorf("topic %s", d.Message.Topic)
		}
		for name, want := range map[string]string{"tls.cn": "truck-7", "tls.san": "truck-7.fleet.example," + svid, "tls.spiffe": svid, "tls.version": ""} {
			if got, _ := d.Message.Attrs.Get(name); string(got) != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got, _ := d.Message.Context.Get("identity"); string(got) != svid {
			t.Errorf("identity is %q", got)
		}
		for _, m := range []*abi.Message{{Topic: []byte("truck/truck-7/down"), Payload: []byte("by topic")}} {
			if _, err := f.Bus().Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if got := c.hear(); string(got.Payload) != string(m.Payload) {
				t.Errorf("heard %q", got.Payload)
			}
		}
		// A device that comes back takes its name from its former connection.
		again := secure(f.dial("lines"), fl.client(true))
		again.say(text("again"))
		if _, err := c.next(); !errors.Is(err, io.EOF) {
			t.Errorf("the former connection: %v", err)
		}
		if n := f.Metric("weft_tls_handshakes_total"); n != 2 {
			t.Errorf("%v handshakes", n)
		}
	})
}

// TestNobodyForgesAnIdentity: the API refuses attributes that only weft gives. Frames
// cannot name them: a declaration has no dots in its attributes.
func TestNobodyForgesAnIdentity(t *testing.T) {
	fl := newFleet(t)
	f := start(t, "", fl.yaml(""))
	forged := abi.Attributes(nil).AppendString("tls.cn", "root")
	if _, err := f.Bus().Publish(t.Context(), &abi.Message{Topic: []byte("plain"), Attrs: forged}); !errors.Is(err, admin.ErrInvalidMessage) {
		t.Errorf("by the API: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := f.Bus().Request(ctx, &abi.Message{Topic: []byte("plain"), Attrs: forged}); !errors.Is(err, admin.ErrInvalidMessage) {
		t.Errorf("by a request: %v", err)
	}
}

// TestIdentify is the same in detail, and that it costs nothing in steady state.
func TestIdentify(t *testing.T) {
	known := abi.Attributes(nil).AppendString("tls.cn", "truck-7")
	own := abi.Attributes(nil).AppendString("a", "1").AppendString("tlsx", "2")
	forged := abi.Attributes(nil).AppendString("tls.cn", "root").AppendString("a", "1").AppendString("tls.new", "x")
	for name, test := range map[string]struct{ known, attrs, want abi.Attributes }{
		"nothing":     {nil, nil, nil},
		"known":       {known, nil, known},
		"own":         {nil, own, own},
		"both":        {known, own, append(append(abi.Attributes(nil), known...), own...)},
		"forged":      {nil, forged, abi.Attributes(nil).AppendString("a", "1")},
		"both forged": {known, forged, append(append(abi.Attributes(nil), known...), abi.Attributes(nil).AppendString("a", "1")...)},
	} {
		t.Run(name, func(t *testing.T) {
			identify := server.Identify(test.known)
			m := abi.Message{Attrs: test.attrs}
			if !identify(&m) {
				t.Error("it is too long")
			}
			if string(m.Attrs) != string(test.want) {
				t.Errorf("%q, want %q", m.Attrs, test.want)
			}
			if n := testing.AllocsPerRun(100, func() { m.Attrs = test.attrs; identify(&m) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// TestIdentityOfALongMessage: attributes stay within the bound of the plugins' contract.
func TestIdentityOfALongMessage(t *testing.T) {
	identify := server.Identify(abi.Attributes(nil).AppendString("tls.cn", "truck-7"))
	var long abi.Attributes
	for len(long) < abi.MaxAttrs-1000 {
		long = long.Append("a", make([]byte, 900))
	}
	m := abi.Message{Attrs: long}
	if !identify(&m) {
		t.Errorf("%d bytes were refused", len(m.Attrs))
	}
	m.Attrs = long.Append("b", make([]byte, abi.MaxAttrs-len(long)-5))
	if identify(&m) {
		t.Errorf("%d bytes were let in", len(m.Attrs))
	}
}

// TestWithoutCertificate: client_auth says who comes in.
func TestWithoutCertificate(t *testing.T) {
	fl := newFleet(t)
	t.Run("require", func(t *testing.T) {
		f := start(t, "", fl.yaml("client_auth: require"))
		c := secure(f.dial("lines"), fl.client(false))
		if _, err := c.next(); err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("the client was told: %v", err)
		}
		f.awaitOf("weft_tls_handshakes_failed_total", "no_certificate", 1)
	})
	t.Run("request", func(t *testing.T) {
		f := start(t, "", strings.Replace(fl.yaml("client_auth: request"), "truck/{tls.cn}/up", "up", 1))
		sub, err := f.Bus().Subscribe(t.Context(), []string{"up"}, 4)
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		secure(f.dial("lines"), fl.client(false)).say(text("nobody"))
		if d := receive(t, sub); string(d.Message.Payload) != "nobody" || len(d.Message.Attrs) > 0 {
			t.Errorf("%q with %q", d.Message.Payload, d.Message.Attrs)
		}
	})
}

// TestReloadUnderLoad: certificates are swapped again and again, by writing the files
// and as Kubernetes does it, while clients come and go: none fails.
func TestReloadUnderLoad(t *testing.T) {
	fl := newFleet(t)
	// As a mounted secret: names are links into ..data, which is a link to a folder.
	mounted := filepath.Join(fl.dir, "mounted")
	version := func(n int, cert *tlstest.Cert) {
		dir := fmt.Sprintf("..v%d", n)
		if err := os.MkdirAll(filepath.Join(mounted, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		fl.WriteCert(filepath.Join(mounted, dir), "server", cert)
		link := filepath.Join(mounted, "..data_tmp")
		if err := errors.Join(os.Symlink(dir, link), os.Rename(link, filepath.Join(mounted, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	version(0, fl.server("version 0"))
	fl.cert, fl.key = filepath.Join(mounted, "server.crt"), filepath.Join(mounted, "server.key")
	for _, name := range []string{fl.cert, fl.key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(name)), name); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, "", fl.yaml(""))
	address := f.Addresses()[0].Addr.String()
	var seen atomic.Value
	seen.Store("")
	var made, failed atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			cfg := fl.client(true)
			cfg.VerifyConnection = func(s tls.ConnectionState) error {
				seen.Store(s.PeerCertificates[0].Subject.CommonName)
				return nil
			}
			d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: cfg}
			c, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Error(err)
				failed.Add(1)
				return
			}
			made.Add(1)
			_ = c.Close()
		}
	}()
	for n := 1; n <= 3; n++ {
		name := fmt.Sprintf("version %d", n)
		version(n, fl.server(name))
		for end := time.Now().Add(20 * time.Second); seen.Load() != name; {
			if time.Now().After(end) {
				t.Fatalf("%s is not used; %v is", name, seen.Load())
			}
			time.Sleep(time.Millisecond) // the file system tells when it likes
		}
	}
	close(stop)
	<-ended
	if n := f.MetricOf("weft_tls_reloads_total", "taken"); n != 3 {
		t.Errorf("%v reloads", n)
	}
	t.Logf("%d connections, %d failed", made.Load(), failed.Load())
}

// TestAPIWithTLS: the API asks for a certificate where it is told so.
func TestAPIWithTLS(t *testing.T) {
	fl := newFleet(t)
	f := start(t, "", fmt.Sprintf(`
api: {address: "127.0.0.1:0", tls: {cert: %s, key: %s, client_ca: %s}}
`, fl.cert, fl.key, fl.ca))
	var address string
	for _, a := range f.Addresses() {
		address = a.Addr.String()
	}
	get := func(cfg *tls.Config) (*http.Response, error) {
		cfg.NextProtos = nil
		transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		r, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://" + address + "/metrics")
		if err == nil {
			defer r.Body.Close()
			b, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(b), "weft_tls_certificate_expiry_seconds") {
				t.Error("the metrics do not tell when the certificate expires")
			}
		}
		return r, err
	}
	if r, err := get(fl.client(true)); err != nil || r.StatusCode != http.StatusOK || r.ProtoMajor != 2 {
		t.Errorf("with a certificate: %+v, %v", r, err)
	}
	if _, err := get(fl.client(false)); err == nil {
		t.Error("a client without a certificate was served")
	}
	var unknown x509.UnknownAuthorityError
	if _, err := get(&tls.Config{}); !errors.As(err, &unknown) {
		t.Errorf("a client that does not know the CA: %v", err)
	}
}

// TestTLSFaults: a start with files that do not fit says which listener, which file
// and why; so does weft check.
func TestTLSFaults(t *testing.T) {
	fl := newFleet(t)
	_, fl.key = fl.WriteCert(fl.dir, "other", fl.server("other"))
	cfg := load(t, fl.yaml(""))
	_, err := server.New(t.Context(), server.Options{Config: cfg, Logger: logger(t)})
	for _, err := range []error{err, server.CheckSetup(cfg)} {
		if err == nil {
			t.Fatal("it starts")
		}
		for _, part := range []string{"listeners.lines.tls", fl.key, "not that of the first certificate", "test.yaml:"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in: %v", part, err)
			}
		}
	}
}
