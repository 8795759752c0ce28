package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// The roles of the API's callers.
const (
	// RoleNone may ask whether weft is alive and ready.
	RoleNone = "none"
	// RoleMessages publishes, requests and subscribes.
	RoleMessages = "messages"
	// RoleRead sees everything and changes nothing.
	RoleRead = "read"
	// RoleOperate may do everything.
	RoleOperate = "operate"
)

// APIToken lets in who shows a token. Exactly one of File and Env says where it is.
type APIToken struct {
	// Role is what its holder may do.
	Role string `koanf:"role" yaml:"role" required:"true" enum:"messages,read,operate"`
	// File holds the token, at least 16 bytes, relative to the configuration file's
	// folder. It is read again when it changes.
	File string `koanf:"file" yaml:"file"`
	// Env is the environment variable that holds it.
	Env string `koanf:"env" yaml:"env"`

	// Path is the resolved path of File. Load sets it.
	Path string `koanf:"-" yaml:"-"`
}

// APICertificate gives a role to a client's certificate.
type APICertificate struct {
	// Name is the certificate's SPIFFE ID, its common name or one of its alternative
	// names.
	Name string `koanf:"name" yaml:"name" required:"true"`
	// Role is what its holder may do.
	Role string `koanf:"role" yaml:"role" required:"true" enum:"none,messages,read,operate"`
}

// AnonymousRole is the role of who shows neither a token nor a certificate: what the
// configuration says; else everything where the address is a loopback one and nobody is
// named who has a credential; else nothing.
func (a *API) AnonymousRole() string {
	if a.Anonymous != "" {
		return a.Anonymous
	}
	at, err := netip.ParseAddrPort(a.Address)
	if err == nil && at.Addr().IsLoopback() && len(a.Tokens) == 0 && len(a.Certificates) == 0 {
		return RoleOperate
	}
	return RoleNone
}

// resolve makes the paths of tokens absolute.
func (a *API) resolve(folder string) {
	for name, token := range a.Tokens {
		token.Path = resolved(folder, token.File)
		a.Tokens[name] = token
	}
}

// access checks who may use the API.
func (k *checker) access() {
	a := &k.c.API
	holder := map[[2]string]string{}
	for _, name := range sortedKeys(a.Tokens) {
		path, token := join("api.tokens", name), a.Tokens[name]
		from := [2]string{token.Path, token.Env}
		if token.Path != "" {
			from[0] = filepath.Clean(token.Path)
		}
		other, twice := holder[from]
		holder[from] = name
		k.name(path, name)
		switch {
		case token.File == "" && token.Env == "":
			k.add(path, Problem{Cause: "no token", Expected: "file or env, which say where it is", Fix: "write file: " + name + ".token; make one by: openssl rand -base64 32 > " + name + ".token"})
		case token.File != "" && token.Env != "":
			k.add(path, Problem{Cause: "two tokens", Expected: "either file or env", Fix: "remove one"})
		case twice:
			k.add(path, Problem{Cause: "one token under two names", Value: show(token.File + token.Env), Found: "the same as api.tokens." + other, Expected: "a token for each name, which has one role", Fix: "name another, or remove one of the two"})
		case strings.HasPrefix(token.Env, "WEFT_"):
			k.add(join(path, "env"), Problem{Cause: "not a variable for a secret", Value: show(token.Env), Found: "variables that begin with WEFT_ are configuration", Fix: "choose another name"})
		}
		k.pem(join(path, "file"), token.File, token.Path)
	}
	first := map[string]bool{}
	for i, c := range a.Certificates {
		if path := fmt.Sprintf("api.certificates.%d.name", i); first[c.Name] {
			k.add(path, Problem{Cause: "name given twice", Value: show(c.Name), Fix: "remove one"})
		}
		first[c.Name] = true
	}
	if len(a.Certificates) > 0 && (a.TLS == nil || a.TLS.ClientCA == "") {
		k.add("api.certificates", Problem{Cause: "has no effect", Expected: "api.tls.client_ca, which says whose certificates hold", Fix: "write it, or remove the key"})
	}
}

// exposed checks that nobody unknown reaches an API that is open to others than this
// machine.
func (k *checker) exposed(at netip.AddrPort) {
	a := &k.c.API
	if at.Addr().IsLoopback() {
		return
	}
	credentials := "tokens in api.tokens, or certificates of clients by api.tls.client_ca"
	if role := a.AnonymousRole(); role != RoleNone {
		k.add("api.anonymous", Problem{Cause: "the API would be open to everybody who can reach the address", Value: role, Expected: "none where api.address is not a loopback one",
			Fix: "remove the key, and name who may: " + credentials})
	} else if len(a.Tokens) == 0 && (a.TLS == nil || a.TLS.ClientCA == "") {
		k.add("api.address", Problem{Cause: "nobody could use the API", Value: a.Address, Expected: "a loopback address, or callers who show who they are",
			Fix: fmt.Sprintf("write 127.0.0.1:%d, or name who may: %s", at.Port(), credentials)})
	}
}
