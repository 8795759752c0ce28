package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The values of TLS.ClientAuth.
const (
	// ClientAuthNone asks clients for no certificate.
	ClientAuthNone = "none"
	// ClientAuthRequest asks for one; a client without is let in, one whose
	// certificate does not hold is not.
	ClientAuthRequest = "request"
	// ClientAuthRequire lets in only clients whose certificate holds.
	ClientAuthRequire = "require"
)

// The values of TLS.Identity.
const (
	// IdentitySPIFFE is the SPIFFE ID of the client's certificate.
	IdentitySPIFFE = "spiffe"
	// IdentityCN is its subject's common name.
	IdentityCN = "cn"
	// IdentitySAN is the first of its subject's alternative names: DNS names come
	// before IP addresses, e-mail addresses and URIs.
	IdentitySAN = "san"
)

// TLS is about TLS on a listener or the API. Paths are relative to the configuration
// file's folder. The files are read again when they change.
type TLS struct {
	// Cert is the file of the server's certificate in PEM, the CAs between it and
	// the root behind it.
	Cert string `koanf:"cert" yaml:"cert"`
	// Key is the file of its private key in PEM.
	Key string `koanf:"key" yaml:"key"`
	// Certificates are further ones. A client gets the first that is for the name
	// it asks for.
	Certificates []TLSCertificate `koanf:"certificates" yaml:"certificates"`
	// ClientCA is the file of the CAs in PEM from which clients' certificates come.
	ClientCA string `koanf:"client_ca" yaml:"client_ca"`
	// ClientAuth is what is asked of clients: none, request or require. Where the
	// key is absent it is require with ClientCA and none without.
	ClientAuth string `koanf:"client_auth" yaml:"client_auth" enum:"none,request,require"`
	// MinVersion is the least version of TLS.
	MinVersion string `koanf:"min_version" yaml:"min_version" default:"1.2" enum:"1.2,1.3"`
	// ALPN are the protocols that a listener offers, the preferred one first.
	ALPN []string `koanf:"alpn" yaml:"alpn"`
	// Identity is which part of the client's certificate a session on a listener has
	// as its identity, as long as no plugin says another: spiffe, cn or san. Empty:
	// none.
	Identity string `koanf:"identity" yaml:"identity" enum:"spiffe,cn,san"`

	// Pairs and CA are the resolved paths, Cert and Key first. Load sets them.
	Pairs []TLSCertificate `koanf:"-" yaml:"-"`
	CA    string           `koanf:"-" yaml:"-"`
}

// TLSCertificate is a certificate and its private key.
type TLSCertificate struct {
	// Cert and Key are files, as those of TLS.
	Cert string `koanf:"cert" yaml:"cert" required:"true"`
	Key  string `koanf:"key" yaml:"key" required:"true"`
}

// complete sets what follows from other keys.
func (t *TLS) complete(folder string) {
	if t == nil {
		return
	}
	resolve := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(folder, path)
	}
	if t.ClientAuth == "" {
		t.ClientAuth = ClientAuthNone
		if t.ClientCA != "" {
			t.ClientAuth = ClientAuthRequire
		}
	}
	t.Pairs = nil
	if t.Cert != "" || t.Key != "" {
		t.Pairs = []TLSCertificate{{resolve(t.Cert), resolve(t.Key)}}
	}
	for _, c := range t.Certificates {
		t.Pairs = append(t.Pairs, TLSCertificate{resolve(c.Cert), resolve(c.Key)})
	}
	t.CA = resolve(t.ClientCA)
}

// tls checks what is said of TLS, as far as that goes without reading the files.
func (k *checker) tls(path string, t *TLS) {
	if t == nil {
		return
	}
	missing := func(key, expected string) {
		k.add(join(path, key), Problem{Cause: "missing value", Expected: expected})
	}
	switch {
	case t.Cert == "" && t.Key == "" && len(t.Certificates) == 0:
		missing("cert", "the file of a certificate in PEM")
	case t.Cert == "" && t.Key != "":
		missing("cert", "the file of the certificate that tls.key is the key of")
	case t.Cert != "" && t.Key == "":
		missing("key", "the file of the certificate's private key in PEM")
	}
	k.pem(join(path, "cert"), t.Cert, t.pair(0).Cert)
	k.pem(join(path, "key"), t.Key, t.pair(0).Key)
	first := 0
	if t.Cert != "" || t.Key != "" {
		first = 1
	}
	for i, c := range t.Certificates {
		at := fmt.Sprintf("certificates.%d", i)
		k.pem(join(path, at+".cert"), c.Cert, t.pair(first+i).Cert)
		k.pem(join(path, at+".key"), c.Key, t.pair(first+i).Key)
	}
	k.pem(join(path, "client_ca"), t.ClientCA, t.CA)
	k.clientAuth(path, t)
	for i, name := range t.ALPN {
		if name == "" || len(name) > 255 {
			k.add(join(path, fmt.Sprintf("alpn.%d", i)), Problem{Cause: "not a protocol's name", Value: show(name), Expected: "1 to 255 bytes, such as mqtt"})
		}
	}
}

func (t *TLS) pair(i int) TLSCertificate {
	if i < len(t.Pairs) {
		return t.Pairs[i]
	}
	return TLSCertificate{}
}

func (k *checker) clientAuth(path string, t *TLS) {
	asks := t.ClientAuth == ClientAuthRequest || t.ClientAuth == ClientAuthRequire
	switch {
	case asks && t.ClientCA == "":
		k.add(join(path, "client_ca"), Problem{Cause: "missing value", Expected: "the file of the CAs from which clients' certificates come, because client_auth is " + t.ClientAuth})
	case t.ClientAuth == ClientAuthNone && t.ClientCA != "":
		k.add(join(path, "client_ca"), Problem{Cause: "has no effect", Value: show(t.ClientCA), Expected: "client_auth to be request or require", Fix: "remove one of the two keys"})
	}
	if t.Identity != "" && t.ClientAuth == ClientAuthNone {
		k.add(join(path, "identity"), Problem{Cause: "has no effect", Value: show(t.Identity), Expected: "clients that are asked for a certificate", Fix: "name their CA in client_ca"})
	}
}

// pem checks that a file is there; resolved is empty where that is not known.
func (k *checker) pem(path, file, resolved string) {
	if file == "" || resolved == "" {
		return
	}
	info, err := os.Stat(resolved)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.add(path, Problem{Cause: "no such file", Value: show(resolved), Fix: "correct the path (relative to this file's folder)"})
	case err != nil:
		k.add(path, Problem{Cause: "cannot read the file", Value: show(resolved), Found: err.Error()})
	case info.IsDir():
		k.add(path, Problem{Cause: "not a file", Value: show(resolved), Found: "a folder", Expected: "a file in PEM"})
	}
}

// apiTLS checks what is said of TLS on the API.
func (k *checker) apiTLS() {
	t := k.c.API.TLS
	k.tls("api.tls", t)
	if t == nil {
		return
	}
	if len(t.ALPN) > 0 {
		k.add("api.tls.alpn", Problem{Cause: "has no effect", Expected: "a listener: the API offers h2 and http/1.1", Fix: "remove it"})
	}
	if t.Identity != "" {
		k.add("api.tls.identity", Problem{Cause: "has no effect", Value: show(t.Identity), Expected: "a listener: the API has no sessions", Fix: "remove it"})
	}
}
