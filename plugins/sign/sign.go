package sign

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
)

// domain begins what is signed, so that a signature of a plugin is one of nothing
// else.
const domain = "weft plugin signature v1\x00"

func message(body []byte) []byte {
	sum := sha256.Sum256(body)
	return append([]byte(domain), sum[:]...)
}

// Sign returns the module with a signature by the key; those by other keys stay.
// Signing again with a key replaces its signature. A module whose section of
// signatures is damaged is refused.
func Sign(wasm []byte, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrKey, len(key))
	}
	body, list, err := split(wasm)
	if err != nil {
		return nil, err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	id := KeyID(public)
	list = slices.DeleteFunc(slices.Clone(list), func(s signature) bool { return s.Key == id })
	if len(list) >= MaxSignatures {
		return nil, fmt.Errorf("%w: it has %d signatures, at most %d are allowed", ErrKey, len(list), MaxSignatures)
	}
	made := ed25519.Sign(key, message(body))
	return join(body, append(list, signature{Key: id, Signature: base64.StdEncoding.EncodeToString(made)}))
}

// Signers lists the ids of the keys that claim to have signed the module. Nothing
// is verified.
func Signers(wasm []byte) ([]string, error) {
	_, list, err := split(wasm)
	var ids []string
	for _, s := range list {
		ids = append(ids, s.Key)
	}
	return ids, err
}

// Trust is a set of keys that somebody trusts. It may be used from any goroutine;
// nil trusts nobody.
type Trust struct{ keys map[string]ed25519.PublicKey }

// NewTrust makes a set of keys.
func NewTrust(keys ...ed25519.PublicKey) (*Trust, error) {
	t := &Trust{keys: make(map[string]ed25519.PublicKey)}
	for _, key := range keys {
		if len(key) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: it has %d bytes", ErrKey, len(key))
		}
		id := KeyID(key)
		if other, taken := t.keys[id]; taken && !other.Equal(key) {
			return nil, fmt.Errorf("%w: two keys have the id %s", ErrKey, id)
		}
		t.keys[id] = key
	}
	return t, nil
}

// Empty reports whether nobody is trusted.
func (t *Trust) Empty() bool { return t == nil || len(t.keys) == 0 }

// Has reports whether the key of that id is trusted.
func (t *Trust) Has(id string) bool {
	if t == nil {
		return false
	}
	_, ok := t.keys[id]
	return ok
}

// Verify returns the ids of the trusted keys that signed the module, at least one.
// It fails with ErrUnsigned, with ErrUnknownKey, and with ErrAltered if any
// signature by a trusted key does not fit.
func (t *Trust) Verify(wasm []byte) ([]string, error) {
	body, list, err := split(wasm)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrUnsigned
	}
	signed := message(body)
	var signers, unknown []string
	for _, s := range list {
		if !t.Has(s.Key) {
			unknown = append(unknown, s.Key)
			continue
		}
		raw, ok := s.raw()
		if !ok || !ed25519.Verify(t.keys[s.Key], signed, raw) {
			return nil, fmt.Errorf("%w: the signature by key %s does not fit the module", ErrAltered, s.Key)
		}
		signers = append(signers, s.Key)
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w: %v", ErrUnknownKey, unknown)
	}
	return signers, nil
}
