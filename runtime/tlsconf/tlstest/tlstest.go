// Package tlstest makes certificates for tests.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certification authority that lives as long as a test.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// PEM is its certificate.
	PEM []byte
}

// Leaf says what a certificate is for. Every field may be empty.
type Leaf struct {
	CN       string
	DNS      []string
	IPs      []string
	Emails   []string
	URIs     []string
	NotAfter time.Time // zero: in 100 hours
	CA       bool      // it may sign others
}

// Cert is a certificate and its key, in PEM.
type Cert struct {
	Cert, Key []byte
	TLS       tls.Certificate
}

// NewCA makes an authority.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	ca := &CA{t: t}
	made, cert, key := ca.sign(Leaf{CN: name, CA: true})
	ca.cert, ca.key, ca.PEM = cert, key, made.Cert
	return ca
}

// Issue makes a certificate that the authority has signed.
func (ca *CA) Issue(leaf Leaf) *Cert {
	ca.t.Helper()
	made, _, _ := ca.sign(leaf)
	return made
}

// Pool holds the authority's certificate alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func (ca *CA) sign(leaf Leaf) (*Cert, *x509.Certificate, *ecdsa.PrivateKey) {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca.check(err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	ca.check(err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: leaf.CN},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: leaf.NotAfter,
		DNSNames: leaf.DNS, EmailAddresses: leaf.Emails,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        leaf.CA, BasicConstraintsValid: true,
	}
	if leaf.CA {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(100 * time.Hour)
	}
	for _, ip := range leaf.IPs {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(ip))
	}
	for _, text := range leaf.URIs {
		uri, err := url.Parse(text)
		ca.check(err)
		template.URIs = append(template.URIs, uri)
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	ca.check(err)
	cert, err := x509.ParseCertificate(der)
	ca.check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ca.check(err)
	made := &Cert{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		TLS:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert},
	}
	return made, cert, key
}

// Write puts the authority's certificate into a file of a folder and returns its path.
func (ca *CA) Write(dir, name string) string {
	ca.t.Helper()
	return ca.file(dir, name+".crt", ca.PEM)
}

// WriteCert puts a certificate and its key into NAME.crt and NAME.key.
func (ca *CA) WriteCert(dir, name string, c *Cert) (cert, key string) {
	ca.t.Helper()
	return ca.file(dir, name+".crt", c.Cert), ca.file(dir, name+".key", c.Key)
}

func (ca *CA) file(dir, name string, content []byte) string {
	ca.t.Helper()
	path := filepath.Join(dir, name)
	ca.check(os.WriteFile(path, content, 0o600))
	return path
}

func (ca *CA) check(err error) {
	ca.t.Helper()
	if err != nil {
		ca.t.Fatal(err)
	}
}
