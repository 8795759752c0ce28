package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/weftrun/weft/runtime/tlsconf"
)

// Role is what a caller may do.
type Role uint8

// The roles.
const (
	// NoRole may ask whether weft is alive and ready, and nothing else.
	NoRole Role = iota
	// MessagesRole publishes, requests and subscribes.
	MessagesRole
	// ReadRole sees everything, messages too, and changes nothing.
	ReadRole
	// OperateRole may do everything.
	OperateRole
)

var roleNames = []string{"none", "messages", "read", "operate"}

// String is the role's name in the configuration and in the log.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return "unknown"
}

// ParseRole reads what Role.String writes.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roleNames, name); i >= 0 {
		return Role(i), nil
	}
	return NoRole, fmt.Errorf("role %.40q: expected one of %s", name, strings.Join(roleNames, ", "))
}

// need is what a call asks of its caller.
type need uint8

const (
	nothing need = iota
	publish
	subscribe
	inspect
	operate
)

var needNames = []string{"nothing", "publish", "subscribe", "see", "operate"}

// may tells whether the role covers the need.
func (r Role) may(n need) bool {
	switch n {
	case nothing:
		return true
	case publish:
		return r == MessagesRole || r == OperateRole
	case subscribe:
		return r != NoRole
	case inspect:
		return r == ReadRole || r == OperateRole
	}
	return r == OperateRole
}

// MinToken is the least length of a token in bytes.
const MinToken = 16

// ErrWeakToken is wrapped by the error about a token that can be guessed.
var ErrWeakToken = errors.New("the token is too short")

// Access says who may do what.
type Access struct {
	// Anonymous is the role of who shows neither a token nor a certificate.
	Anonymous Role
	// Certified is the role of who has a certificate that holds and that
	// Certificates does not name.
	Certified Role

	tokens       []token
	certificates map[string]Role
}

// token is kept as its hash: it is compared in constant time, and a dump of the memory
// does not show it.
type token struct {
	name string
	role Role
	hash [sha256.Size]byte
}

// ErrSameToken is wrapped by the error about a token that is there under another name: it
// would have the role of either.
var ErrSameToken = errors.New("this is the token of another name, too")

// AddToken lets in who shows the token, under a name for the log. ErrWeakToken: it has
// less than MinToken bytes. ErrSameToken: it was added under another name.
func (a *Access) AddToken(name string, role Role, text string) error {
	if text = strings.TrimSpace(text); len(text) < MinToken {
		return fmt.Errorf("%w: %d bytes, expected %d or more, such as those of openssl rand -base64 32", ErrWeakToken, len(text), MinToken)
	}
	hash := sha256.Sum256([]byte(text))
	for _, other := range a.tokens {
		if other.hash == hash {
			return fmt.Errorf("%w: of %s; give each name a token of its own, such as one of openssl rand -base64 32", ErrSameToken, other.name)
		}
	}
	a.tokens = append(a.tokens, token{name, role, hash})
	return nil
}

// AddCertificate gives a role to who has a certificate of this SPIFFE ID, common name
// or alternative name.
func (a *Access) AddCertificate(name string, role Role) {
	if a.certificates == nil {
		a.certificates = map[string]Role{}
	}
	a.certificates[name] = role
}

// caller is who sends a request.
type caller struct {
	name string // for the log
	role Role
}

// errUnknownToken is the error about a token that nobody has.
var errUnknownToken = errors.New("the token is not known here")

// caller tells who sends a request: by its token, else by its certificate, else nobody
// that is known.
func (a *Access) caller(r *http.Request) (caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, text, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return caller{}, errors.New("the Authorization header is not of the form: Bearer TOKEN")
		}
		return a.byToken(strings.TrimSpace(text))
	}
	if r.TLS != nil {
		if id, ok := tlsconf.Peer(r.TLS); ok {
			return a.byCertificate(id), nil
		}
	}
	return caller{"anonymous", a.Anonymous}, nil
}

// byToken compares with every token, so that the time it takes says nothing.
func (a *Access) byToken(text string) (caller, error) {
	hash := sha256.Sum256([]byte(text))
	found := -1
	for i := range a.tokens {
		if subtle.ConstantTimeCompare(hash[:], a.tokens[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return caller{}, errUnknownToken
	}
	return caller{"token " + a.tokens[found].name, a.tokens[found].role}, nil
}

func (a *Access) byCertificate(id tlsconf.Identity) caller {
	names := append([]string{id.SPIFFE, id.CN}, strings.Split(id.Names, ",")...)
	for _, name := range names {
		if role, ok := a.certificates[name]; ok && name != "" {
			return caller{"certificate " + name, role}
		}
	}
	for _, name := range names {
		if name != "" {
			return caller{"certificate " + name, a.Certified}
		}
	}
	return caller{"a certificate without a name", a.Certified}
}

// callerKey is the key of a request's caller in its context.
type callerKey struct{}

// callerOf is who has sent the request of a context.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}
