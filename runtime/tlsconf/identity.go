package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// maxNames bounds Identity.Names in bytes.
const maxNames = 1024

// Identity is who a client is, as its verified certificate says.
type Identity struct {
	// CN is the subject's common name.
	CN string
	// Names are the subject's alternative names, separated by commas: DNS names,
	// then IP addresses, e-mail addresses and URIs. A name with a comma or a
	// control character in it, and what goes beyond 1,024 bytes, is left out.
	Names string
	// SPIFFE is the SPIFFE ID; empty unless the certificate is an X.509-SVID.
	SPIFFE string
}

// First is the first of the names; empty if there is none.
func (id *Identity) First() string {
	name, _, _ := strings.Cut(id.Names, ",")
	return name
}

// Peer tells who the client of a connection is. It answers false for one without a
// certificate, or with one that was not verified. It is to be asked after the
// handshake.
func Peer(state *tls.ConnectionState) (Identity, bool) {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return Identity{}, false
	}
	leaf := state.PeerCertificates[0]
	id := Identity{CN: leaf.Subject.CommonName, Names: names(leaf)}
	if len(leaf.URIs) == 1 && isLeaf(leaf) && ValidSPIFFE(leaf.URIs[0].String()) {
		id.SPIFFE = leaf.URIs[0].String()
	}
	return id, true
}

// isLeaf tells what X509-SVID, section 5.2, asks of a leaf: it can sign nothing.
func isLeaf(cert *x509.Certificate) bool {
	return !cert.IsCA && cert.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) == 0
}

func names(cert *x509.Certificate) string {
	var b strings.Builder
	add := func(name string) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r == ',' || r < ' ' || r == 0x7f }) {
			return
		}
		if b.Len()+1+len(name) > maxNames {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	for _, name := range cert.DNSNames {
		add(name)
	}
	for _, ip := range cert.IPAddresses {
		add(ip.String())
	}
	for _, mail := range cert.EmailAddresses {
		add(mail)
	}
	for _, uri := range cert.URIs {
		add(uri.String())
	}
	return b.String()
}
