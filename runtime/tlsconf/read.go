package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"time"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 1 << 20

// soon is how long before its end a certificate is warned about.
const soon = 72 * time.Hour

// reader reads the files of one snapshot and collects what is wrong with them.
type reader struct {
	now      time.Time
	log      *slog.Logger
	files    []File
	faults   []error
	warnings []func() // given only where there is no fault
	notAfter time.Time
}

// fault notes what is wrong with a file, and what to do about it.
func (r *reader) fault(file, finding, remedy string) {
	r.faults = append(r.faults, fmt.Errorf("%w: %s: %s; %s", ErrConfig, file, finding, remedy))
}

func (r *reader) warn(text string, args ...any) {
	r.warnings = append(r.warnings, func() { r.log.Warn(text, args...) })
}

// pair reads a certificate and its key; without effect if one of them is wrong.
func (r *reader) pair(p Pair) tls.Certificate {
	certPEM, certOK := r.file(p.Cert, "write the path of a certificate in PEM")
	keyPEM, keyOK := r.file(p.Key, "write the path of the certificate's private key in PEM")
	if keyOK {
		r.exposed(p.Key)
	}
	if !certOK || !keyOK {
		return tls.Certificate{}
	}
	chain := r.certificates(p.Cert, certPEM)
	if len(chain) == 0 {
		return tls.Certificate{}
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		r.mismatch(p, chain[0], certPEM, keyPEM, err)
		return tls.Certificate{}
	}
	r.dates(p.Cert, chain)
	return pair
}

// mismatch says why a certificate and a key that were both read make no pair.
func (r *reader) mismatch(p Pair, leaf *x509.Certificate, certPEM, keyPEM []byte, err error) {
	switch {
	case bytes.Contains(keyPEM, []byte("ENCRYPTED")):
		r.fault(p.Key, "the key is encrypted", fmt.Sprintf("decrypt it: openssl pkey -in %s -out FILE", p.Key))
	case !bytes.Contains(keyPEM, []byte("PRIVATE KEY-----")):
		r.fault(p.Key, "it holds no private key", "expected a block that begins with -----BEGIN PRIVATE KEY-----")
	default:
		if key, parseErr := parseKey(keyPEM); parseErr != nil {
			r.fault(p.Key, "the private key cannot be read: "+parseErr.Error(), "expected PKCS #8, PKCS #1 or SEC 1 with RSA, ECDSA or Ed25519")
			return
		} else if !matches(leaf.PublicKey, key) {
			r.fault(p.Key, fmt.Sprintf("the key is not that of the first certificate of %s (%s)", p.Cert, leaf.Subject),
				"the server's own certificate comes first in its file, those of the CAs behind it; or name the key that it was made with")
			return
		}
		r.fault(p.Cert, "certificate and key make no pair: "+err.Error(), "make them anew")
	}
}

func parseKey(keyPEM []byte) (crypto.PrivateKey, error) {
	err := errors.New("there is none")
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		var key crypto.PrivateKey
		if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return key, nil
		}
		if key, e := x509.ParseECPrivateKey(block.Bytes); e == nil {
			return key, nil
		}
		if key, e := x509.ParsePKCS1PrivateKey(block.Bytes); e == nil {
			return key, nil
		}
	}
	return nil, err
}

func matches(public crypto.PublicKey, private crypto.PrivateKey) bool {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return false
	}
	own, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

// certificates are those of a file; none if one of them is wrong.
func (r *reader) certificates(file string, content []byte) []*x509.Certificate {
	var list []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			r.fault(file, fmt.Sprintf("certificate %d cannot be read: %v", len(list)+1, err), "look at it with openssl x509 -text -in "+file)
			return nil
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		r.fault(file, "it holds no certificate", "expected a block that begins with -----BEGIN CERTIFICATE-----; one in DER is converted by openssl x509 -inform der -in FILE")
	}
	return list
}

// dates warns about certificates out of their time. They are used nevertheless:
// clients that do not look must not be cut off by a restart.
func (r *reader) dates(file string, chain []*x509.Certificate) {
	for _, cert := range chain {
		switch {
		case r.now.After(cert.NotAfter):
			r.warn("a certificate has expired: the other side will refuse it; renew it, weft takes up the new file by itself",
				"file", file, "subject", cert.Subject.String(), "expired", cert.NotAfter.UTC())
		case r.now.Add(soon).After(cert.NotAfter):
			r.warn("a certificate is about to expire: renew it, weft takes up the new file by itself",
				"file", file, "subject", cert.Subject.String(), "expires", cert.NotAfter.UTC())
		case r.now.Before(cert.NotBefore):
			r.warn("a certificate is not valid yet: the other side will refuse it; look at the clocks of this machine and of the CA",
				"file", file, "subject", cert.Subject.String(), "valid_from", cert.NotBefore.UTC())
		}
		if r.notAfter.IsZero() || cert.NotAfter.Before(r.notAfter) {
			r.notAfter = cert.NotAfter
		}
	}
}

// authorities adds a file's CA certificates to a pool; whose says who those are whose
// certificates come from them.
func (r *reader) authorities(pool *x509.CertPool, file, whose string) {
	content, ok := r.file(file, "write the path of the CA certificates in PEM that "+whose+"' certificates come from")
	if !ok {
		return
	}
	for _, cert := range r.certificates(file, content) {
		pool.AddCert(cert)
		if cert.BasicConstraintsValid && !cert.IsCA {
			r.warn("a certificate among the "+whose+"' CAs is not that of a CA: what it has signed is refused", "file", file, "subject", cert.Subject.String())
		}
		if r.now.After(cert.NotAfter) {
			r.warn("a CA of "+whose+" has expired: their certificates are refused", "file", file, "subject", cert.Subject.String(), "expired", cert.NotAfter.UTC())
		}
	}
}

// exposed warns about a private key that everybody on the machine can read.
func (r *reader) exposed(file string) {
	info, err := os.Stat(file)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		r.warn("everybody on this machine can read a private key: chmod 600 it", "file", file, "mode", fmt.Sprintf("%04o", info.Mode().Perm()))
	}
}

// file reads a whole file.
func (r *reader) file(path, remedy string) ([]byte, bool) {
	content, err := readAll(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault(path, "no such file", remedy)
	case errors.Is(err, fs.ErrPermission):
		r.fault(path, "this process may not read it", fmt.Sprintf("give the file to the user that weft runs as (uid %d)", os.Getuid()))
	case err != nil:
		r.fault(path, err.Error(), remedy)
	default:
		r.files = append(r.files, File{Path: path, Sum: sha256.Sum256(content)})
		return content, true
	}
	return nil, false
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	return content, err
}
