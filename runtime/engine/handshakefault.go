package engine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
)

// HandshakeFault says why a handshake failed.
type HandshakeFault uint8

// The faults.
const (
	// HandshakeTimeout: it was not done within HandshakeDeadline.
	HandshakeTimeout HandshakeFault = iota
	// HandshakePlaintext: what came is no TLS.
	HandshakePlaintext
	// HandshakeNoCertificate: the client has shown none, and must.
	HandshakeNoCertificate
	// HandshakeUnknownAuthority: the client's certificate comes from no CA that is
	// trusted.
	HandshakeUnknownAuthority
	// HandshakeBadCertificate: the client's certificate does not hold for another
	// reason: it has expired, or is not for clients.
	HandshakeBadCertificate
	// HandshakeVersion: the client speaks none of the versions that are allowed.
	HandshakeVersion
	// HandshakeRefused: the client has refused, for the server's certificate mostly.
	HandshakeRefused
	// HandshakeHungUp: the client went away.
	HandshakeHungUp
	// HandshakeCrowded: MaxHandshakes were under way, and this one made room.
	HandshakeCrowded
	// HandshakeStopped: the engine ended.
	HandshakeStopped
	// HandshakeOther is any other reason.
	HandshakeOther

	// HandshakeFaultCount is how many faults there are.
	HandshakeFaultCount
)

var handshakeFaultNames = [HandshakeFaultCount]string{
	"timeout", "plaintext", "no_certificate", "unknown_authority", "bad_certificate", "version",
	"refused_by_peer", "hung_up", "crowded", "stopped", "other",
}

// String is the fault's name in logs and metrics.
func (f HandshakeFault) String() string {
	if f < HandshakeFaultCount {
		return handshakeFaultNames[f]
	}
	return "unknown"
}

// said tells whether the peer was told.
func (f HandshakeFault) said() bool {
	switch f {
	case HandshakePlaintext, HandshakeNoCertificate, HandshakeUnknownAuthority, HandshakeBadCertificate, HandshakeVersion, HandshakeOther:
		return true
	}
	return false
}

// handshakeFault finds out what an error of crypto/tls is about. Some of its errors
// are known by their text alone.
func handshakeFault(err error) HandshakeFault {
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var operation *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return HandshakeTimeout
	case errors.As(err, &record):
		return HandshakePlaintext
	case errors.As(err, &authority):
		return HandshakeUnknownAuthority
	case errors.As(err, &certificate):
		return HandshakeBadCertificate
	case errors.As(err, &operation) && operation.Op == "remote error":
		return HandshakeRefused
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return HandshakeNoCertificate
	case strings.Contains(err.Error(), "unsupported versions"):
		return HandshakeVersion
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &operation):
		return HandshakeHungUp
	}
	return HandshakeOther
}

// HandshakeStats counts what became of one listener's handshakes.
type HandshakeStats struct {
	// Open is how many are under way now.
	Open int64
	// Done counts those that came to their end, Resumed the ones among them that
	// went on with a former session.
	Done, Resumed uint64
	Failed        [HandshakeFaultCount]uint64 // by HandshakeFault
}

func (a *handshakes) succeeded(conn handshaker) {
	a.done.Add(1)
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().DidResume {
		a.resumed.Add(1)
	}
}

func (a *handshakes) stats() HandshakeStats {
	s := HandshakeStats{Open: a.open.Load(), Done: a.done.Load(), Resumed: a.resumed.Load()}
	for i := range s.Failed {
		s.Failed[i] = a.failed[i].Load()
	}
	return s
}
