package server

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/sign"
	"github.com/weftrun/weft/runtime/config"
)

// maxKeyFile is the largest file of a key that is read.
const maxKeyFile = 64 << 10

// trust reads the keys that the configuration trusts and puts them into the
// environment's configuration. Every signed_by must name one of them.
func trust(cfg *config.Config, env *plugins.EnvConfig) error {
	var keys []ed25519.PublicKey
	var faults []error
	for i, text := range cfg.Trust.Keys {
		at := fmt.Sprintf("trust.keys.%d", i)
		key, err := readKey(text, cfg.Trust.Paths[i])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w (%s)", at, err, cfg.Place(at)))
			continue
		}
		keys = append(keys, key)
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	set, err := sign.NewTrust(keys...)
	if err != nil {
		return fmt.Errorf("trust.keys: %w (%s)", err, cfg.Place("trust.keys"))
	}
	for _, name := range sortedKeys(cfg.Plugins) {
		for i, id := range cfg.Plugins[name].SignedBy {
			if at := fmt.Sprintf("plugins.%s.signed_by.%d", name, i); !set.Has(id) {
				faults = append(faults, fmt.Errorf("%s: %w: no key in trust.keys has the id %s (%s)", at, sign.ErrUnknownKey, id, cfg.Place(at)))
			}
		}
	}
	env.Trust, env.RequireSigned = set, cfg.Trust.Require
	return errors.Join(faults...)
}

// readKey reads a public key from its file, or from its text if path is empty.
func readKey(text, path string) (ed25519.PublicKey, error) {
	if path == "" {
		return sign.ParsePublic([]byte(text))
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s has %d bytes: a key has a few hundred", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := sign.ParsePublic(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
