package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Trust is about who may sign plugins. Those that ship with weft need no signature.
type Trust struct {
	// Keys are public keys in PEM: each the path of a file, relative to the
	// configuration file's folder, or the text itself. A plugin that one of them
	// has signed must be as it was signed.
	Keys []string `koanf:"keys" yaml:"keys"`
	// Require refuses plugins that none of the keys has signed.
	Require bool `koanf:"require" yaml:"require" default:"false"`

	// Paths are the resolved paths of Keys; empty where a key is the text itself.
	// Load sets it.
	Paths []string `koanf:"-" yaml:"-"`
}

// inlineKey begins a key that stands in the configuration itself.
const inlineKey = "-----BEGIN "

// resolve sets the paths.
func (t *Trust) resolve(folder string) {
	t.Paths = make([]string, len(t.Keys))
	for i, key := range t.Keys {
		switch {
		case key == "" || strings.HasPrefix(strings.TrimSpace(key), inlineKey):
		case filepath.IsAbs(key):
			t.Paths[i] = key
		default:
			t.Paths[i] = filepath.Join(folder, key)
		}
	}
}

// trust checks the keys, as far as that goes without reading them.
func (k *checker) trust() {
	t := &k.c.Trust
	if t.Require && len(t.Keys) == 0 {
		k.add("trust.keys", Problem{Cause: "missing value", Expected: "the public keys of those who may sign, because trust.require is true", Fix: "make one with weft plugin keygen"})
	}
	for i, key := range t.Keys {
		path := fmt.Sprintf("trust.keys.%d", i)
		switch {
		case key == "":
			k.add(path, Problem{Cause: "missing value", Expected: "the file of a public key, or its text in PEM"})
		case i >= len(t.Paths) || t.Paths[i] == "":
		default:
			if info, err := os.Stat(t.Paths[i]); errors.Is(err, os.ErrNotExist) {
				k.add(path, Problem{Cause: "no such file", Value: show(t.Paths[i]), Fix: "correct the path (relative to this file's folder), or write the key's text in its place"})
			} else if err != nil || info.IsDir() {
				k.add(path, Problem{Cause: "cannot read the file", Value: show(t.Paths[i]), Expected: "a public key in PEM"})
			}
		}
	}
}

// signedBy checks which keys must have signed a plugin.
func (k *checker) signedBy(path string, p Plugin) {
	if len(p.SignedBy) == 0 {
		return
	}
	if _, std := p.Std(); std {
		k.add(path, Problem{Cause: "has no effect", Expected: "the file of a plugin: those that ship with weft are a part of it", Fix: "remove it"})
		return
	}
	if len(k.c.Trust.Keys) == 0 {
		k.add(path, Problem{Cause: "no key is trusted", Expected: "the public keys of these ids in trust.keys"})
	}
	for i, id := range p.SignedBy {
		if b, err := hex.DecodeString(id); err != nil || len(b) != 8 || strings.ToLower(id) != id {
			k.add(fmt.Sprintf("%s.%d", path, i), Problem{Cause: "not the id of a key", Value: show(id), Expected: "16 hexadecimal digits in lower case, as weft plugin keygen prints them"})
		}
	}
}
