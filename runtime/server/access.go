package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/weftrun/weft/plugins/watch"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/config"
)

// tokens are the credentials of the API's callers, which follow their files.
type tokens struct {
	cfg *config.Config
	set func(*admin.Access) // nil before the API is made
}

// access reads the credentials.
func (t *tokens) access() (*admin.Access, error) { return readAccess(t.cfg) }

// CheckAccess reads the credentials of the API's callers as New does; nil if they can be
// used.
func CheckAccess(cfg *config.Config) error {
	if cfg.API.Address == "" {
		return nil
	}
	_, err := readAccess(cfg)
	return err
}

// readAccess reads the credentials that a configuration names.
func readAccess(cfg *config.Config) (*admin.Access, error) {
	c := &cfg.API
	anonymous, err := admin.ParseRole(c.AnonymousRole())
	if err != nil {
		return nil, err
	}
	a := &admin.Access{Anonymous: anonymous, Certified: admin.OperateRole}
	if len(c.Certificates) > 0 {
		a.Certified = admin.NoRole
	}
	var faults []error
	for _, name := range sortedKeys(c.Tokens) {
		if err := addToken(a, name, c.Tokens[name]); err != nil {
			at := "api.tokens." + name
			faults = append(faults, fmt.Errorf("%s: %w (%s)", at, err, cfg.Place(at)))
		}
	}
	for _, cert := range c.Certificates {
		role, err := admin.ParseRole(cert.Role)
		faults = append(faults, err)
		a.AddCertificate(cert.Name, role)
	}
	return a, errors.Join(faults...)
}

func addToken(a *admin.Access, name string, from config.APIToken) error {
	role, err := admin.ParseRole(from.Role)
	if err != nil {
		return err
	}
	text := []byte(os.Getenv(from.Env))
	if from.Path != "" {
		if text, err = os.ReadFile(from.Path); err != nil {
			return err
		}
	} else if len(text) == 0 {
		return fmt.Errorf("the environment variable %s is not set", from.Env)
	}
	return a.AddToken(name, role, string(text))
}

// watch has the files of tokens watched.
func (t *tokens) watch(w *watch.Watcher) {
	for _, token := range t.cfg.API.Tokens {
		if token.Path == "" {
			continue
		}
		text, _ := os.ReadFile(token.Path) // a file that is missing is seen when it comes
		w.Add(token.Path, sha256.Sum256(text))
	}
}
