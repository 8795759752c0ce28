package plugins_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/sign"
)

func signingKey(name string) (ed25519.PrivateKey, string) {
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	return key, sign.KeyID(key.Public().(ed25519.PublicKey))
}

// TestProvenance: what does not verify does not load, and the error says why.
func TestProvenance(t *testing.T) {
	a, idA := signingKey("a")
	b, idB := signingKey("b")
	plain := wasmtest.New().Bytes()
	with := func(wasm []byte, keys ...ed25519.PrivateKey) []byte {
		for _, k := range keys {
			var err error
			if wasm, err = sign.Sign(wasm, k); err != nil {
				t.Fatal(err)
			}
		}
		return wasm
	}
	altered := bytes.Replace(with(plain, a), []byte("weft_buffer"), []byte("weft_buffes"), 1)
	appended := append(with(plain, a), 0, 2, 1, 'x')
	trust := func(keys ...ed25519.PrivateKey) *sign.Trust {
		var list []ed25519.PublicKey
		for _, k := range keys {
			list = append(list, k.Public().(ed25519.PublicKey))
		}
		set, err := sign.NewTrust(list...)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for i, c := range []struct {
		wasm    []byte
		trust   *sign.Trust
		require bool
		spec    plugins.Spec
		signers []string
		err     error
		says    string
	}{
		{wasm: plain},
		{wasm: with(plain, a)},
		{wasm: plain, trust: trust(a)},
		{wasm: plain, trust: trust(a), require: true, err: sign.ErrUnsigned, says: "it is not signed: sign it with `weft plugin sign"},
		{wasm: plain, require: true, err: sign.ErrUnsigned},
		{wasm: plain, trust: trust(a), require: true, spec: plugins.Spec{Shipped: true}},
		{wasm: plain, trust: trust(a), spec: plugins.Spec{Shipped: true, SignedBy: []string{idA}}, err: sign.ErrUnsigned},
		{wasm: with(plain, a), trust: trust(a), signers: []string{idA}},
		{wasm: with(plain, a), trust: trust(a), require: true, signers: []string{idA}},
		{wasm: with(plain, a), trust: trust(b)},
		{wasm: with(plain, a), trust: trust(b), require: true, err: sign.ErrUnknownKey, says: "add their public key to trust.keys"},
		{wasm: altered, trust: trust(a), err: sign.ErrAltered, says: "it was altered after it was signed"},
		{wasm: altered, trust: trust(a), require: true, err: sign.ErrAltered},
		{wasm: appended, trust: trust(a), err: sign.ErrAltered, says: "not the last"},
		{wasm: with(plain, a, b), trust: trust(a, b), spec: plugins.Spec{SignedBy: []string{idA, idB}}, signers: []string{idA, idB}},
		{wasm: with(plain, a), trust: trust(a, b), spec: plugins.Spec{SignedBy: []string{idA, idB}}, says: "signed_by names " + idB + ", which did not sign it; signed by " + idA},
		{wasm: with(plain, a), trust: trust(b), spec: plugins.Spec{SignedBy: []string{idB}}, err: sign.ErrUnknownKey},
		{wasm: plain, trust: trust(b), spec: plugins.Spec{SignedBy: []string{idB}}, err: sign.ErrUnsigned},
	} {
		env := newEnv(t, plugins.EnvConfig{Trust: c.trust, RequireSigned: c.require})
		c.spec.Name, c.spec.Wasm = "guest", c.wasm
		p, err := env.Load(t.Context(), c.spec)
		if c.err == nil && c.says == "" {
			if err != nil || !slices.Equal(p.Signers(), c.signers) {
				t.Errorf("case %d: %v; signers expected %v", i, err, c.signers)
			}
			continue
		}
		if !errors.Is(err, plugins.ErrSignature) || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("case %d: %v; expected %v, %q", i, err, c.err, c.says)
		}
	}
}

// TestPinIsOfTheWholeFile: signing changes the pin.
func TestPinIsOfTheWholeFile(t *testing.T) {
	a, _ := signingKey("a")
	plain := wasmtest.New().Bytes()
	signed, err := sign.Sign(plain, a)
	if err != nil {
		t.Fatal(err)
	}
	pin := fmt.Sprintf("%x", sha256.Sum256(plain))
	env := newEnv(t, plugins.EnvConfig{})
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: plain, SHA256: pin}); err != nil {
		t.Error(err)
	}
	if _, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: signed, SHA256: pin}); !errors.Is(err, plugins.ErrPin) {
		t.Errorf("the pin of the unsigned file: %v", err)
	}
	for _, none := range []string{"sha256:", " ", pin[:63]} { // what was to be pinned and is not
		if _, err := env.Load(t.Context(), plugins.Spec{Name: "guest", Wasm: plain, SHA256: none}); !errors.Is(err, plugins.ErrSpec) {
			t.Errorf("the pin %q: %v", none, err)
		}
	}
}
