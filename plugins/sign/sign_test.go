package sign_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weftrun/weft/plugins/internal/wasmtest"
	"github.com/weftrun/weft/plugins/sign"
)

// key is a key that is the same in every run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func trust(t testing.TB, names ...string) *sign.Trust {
	t.Helper()
	var keys []ed25519.PublicKey
	for _, name := range names {
		keys = append(keys, public(key(name)))
	}
	set, err := sign.NewTrust(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func signed(t testing.TB, wasm []byte, names ...string) []byte {
	t.Helper()
	for _, name := range names {
		var err error
		if wasm, err = sign.Sign(wasm, key(name)); err != nil {
			t.Fatal(err)
		}
	}
	return wasm
}

func id(name string) string { return sign.KeyID(public(key(name))) }

func TestSignAndVerify(t *testing.T) {
	wasm := wasmtest.New().Custom("name", []byte("x")).Bytes()
	one := signed(t, wasm, "a")
	if !bytes.HasPrefix(one, wasm) || !bytes.Contains(one[len(wasm):], []byte(sign.Section)) {
		t.Error("signing changes what is signed")
	}
	if again := signed(t, one, "a"); !bytes.Equal(again, one) {
		t.Error("signing again with the same key gives other bytes")
	}
	both := signed(t, one, "b")
	for i, c := range []struct {
		wasm    []byte
		trusted *sign.Trust
		signers []string
		err     error
	}{
		{wasm, trust(t, "a"), nil, sign.ErrUnsigned},
		{one, trust(t, "a"), []string{id("a")}, nil},
		{one, trust(t, "b", "a"), []string{id("a")}, nil},
		{one, trust(t, "b"), nil, sign.ErrUnknownKey},
		{one, nil, nil, sign.ErrUnknownKey},
		{both, trust(t, "a"), []string{id("a")}, nil},
		{both, trust(t, "a", "b", "c"), []string{id("a"), id("b")}, nil},
		{append(bytes.Clone(one), 0, 2, 1, 'x'), trust(t, "a"), nil, sign.ErrAltered},                     // a section behind it
		{append(bytes.Clone(one), one[len(wasm):]...), trust(t, "a"), nil, sign.ErrAltered},               // twice
		{slices.Concat(wasm, []byte{0, 2, 1, 'x'}, one[len(wasm):]), trust(t, "a"), nil, sign.ErrAltered}, // a section before it
		{[]byte("no module"), trust(t, "a"), nil, sign.ErrModule},
	} {
		signers, err := c.trusted.Verify(c.wasm)
		if !errors.Is(err, c.err) || !slices.Equal(signers, c.signers) {
			t.Errorf("case %d: %v, %v; expected %v, %v", i, signers, err, c.signers, c.err)
		}
	}
	if ids, err := sign.Signers(both); err != nil || !slices.Equal(ids, []string{id("a"), id("b")}) {
		t.Errorf("signers %v, %v", ids, err)
	}
}

// TestEveryChangeIsFound: no bit of a signed module can be turned, no byte left
// out, none put in. Of two signatures a change may undo one: whoever asks for both
// finds it.
func TestEveryChangeIsFound(t *testing.T) {
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		wasm, trusted := signed(t, wasmtest.New().Bytes(), names...), trust(t, names...)
		if signers, err := trusted.Verify(wasm); err != nil || len(signers) != len(names) {
			t.Fatal(signers, err)
		}
		refused := func(changed []byte, what string, at int) {
			if signers, err := trusted.Verify(changed); err == nil && len(signers) == len(names) {
				t.Errorf("byte %d of %d can be %s", at, len(wasm), what)
			}
		}
		for at := range wasm {
			for bit := range 8 {
				changed := bytes.Clone(wasm)
				changed[at] ^= 1 << bit
				refused(changed, "changed", at)
			}
			refused(append(bytes.Clone(wasm[:at]), wasm[at+1:]...), "left out", at)
			refused(wasm[:at], "the end", at)
			for _, put := range []byte{0, ' ', 0x80} {
				refused(slices.Insert(bytes.Clone(wasm), at, put), "put in", at)
			}
		}
	}
}

// TestSignatureIsOfItsModule: a signature does not fit another module, and one of
// the bare hash is none.
func TestSignatureIsOfItsModule(t *testing.T) {
	one, other := wasmtest.New().Bytes(), wasmtest.New().Custom("x", nil).Bytes()
	section := signed(t, one, "a")[len(one):]
	if _, err := trust(t, "a").Verify(slices.Concat(other, section)); !errors.Is(err, sign.ErrAltered) {
		t.Errorf("another module: %v", err)
	}
	sum := sha256.Sum256(one)
	bare := ed25519.Sign(key("a"), sum[:])
	if bytes.Contains(section, bare) || ed25519.Verify(public(key("a")), sum[:], bare) == false {
		t.Error("the signature has no domain")
	}
}

func TestTooManySignatures(t *testing.T) {
	wasm := wasmtest.New().Bytes()
	for i := range sign.MaxSignatures {
		wasm = signed(t, wasm, string(rune('a'+i)))
	}
	if _, err := sign.Sign(wasm, key("one more")); !errors.Is(err, sign.ErrKey) || !strings.Contains(err.Error(), "at most 16") {
		t.Errorf("one more: %v", err)
	}
	signed(t, wasm, "a") // replaces its own
}

func TestKeyFiles(t *testing.T) {
	made, err := sign.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	privateText, err := sign.EncodePrivate(made)
	if err != nil {
		t.Fatal(err)
	}
	publicText, err := sign.EncodePublic(public(made))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := sign.ParsePrivate(privateText); err != nil || !k.Equal(made) {
		t.Errorf("private: %v", err)
	}
	if k, err := sign.ParsePublic(publicText); err != nil || !k.Equal(made.Public()) {
		t.Errorf("public: %v", err)
	}
	if got := sign.KeyID(public(made)); len(got) != 16 || got == id("a") {
		t.Errorf("id %q", got)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherDER, err := x509.MarshalPKIXPublicKey(curve.Public())
	if err != nil {
		t.Fatal(err)
	}
	other := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: otherDER})
	for says, text := range map[string][]byte{
		"it is a private key":    privateText,
		"is no PEM":              []byte("key"),
		"more than one":          slices.Concat(publicText, publicText),
		"expected ed25519":       other,
		"PEM block":              pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
		"not a usable key: asn1": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
	} {
		if _, err := sign.ParsePublic(text); !errors.Is(err, sign.ErrKey) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, expected %q", err, says)
		}
	}
	if _, err := sign.ParsePrivate(publicText); !errors.Is(err, sign.ErrKey) || !strings.Contains(err.Error(), "only the private one signs") {
		t.Errorf("a public key to sign with: %v", err)
	}
}

// FuzzVerify: whatever the bytes, they are refused, or they are what signing their
// body gives.
func FuzzVerify(f *testing.F) {
	wasm := wasmtest.New().Bytes()
	f.Add(wasm)
	f.Add(signed(f, wasm, "a"))
	f.Add(signed(f, []byte("\x00asm\x01\x00\x00\x00"), "a", "b"))
	trusted := trust(f, "a")
	f.Fuzz(func(t *testing.T, b []byte) {
		signers, err := trusted.Verify(b)
		if err != nil {
			known := []error{sign.ErrModule, sign.ErrUnsigned, sign.ErrAltered, sign.ErrUnknownKey}
			if !slices.ContainsFunc(known, func(e error) bool { return errors.Is(err, e) }) {
				t.Fatalf("an error of another class: %v", err)
			}
			return
		}
		if again, err := sign.Sign(b, key("a")); err != nil || len(signers) == 0 || len(again) != len(b) {
			t.Fatalf("%v, %v: %d bytes become %d", signers, err, len(b), len(again))
		}
	})
}
