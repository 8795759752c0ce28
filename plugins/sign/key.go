package sign

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// ErrKey is wrapped by every error about a key that cannot be read.
var ErrKey = errors.New("not a usable key")

// The types of PEM blocks.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// idBytes is how many bytes of the hash an id shows. Ids only tell apart the keys
// that somebody trusts; what counts is the key.
const idBytes = 8

// KeyID is the short name of a key: 16 hexadecimal digits.
func KeyID(public ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "" // an ed25519 key of the right length always has a form
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:idBytes])
}

// validID reports whether a text has the form of a key's id.
func validID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == idBytes && hex.EncodeToString(b) == id
}

// Generate makes a key; random is crypto/rand.Reader but in tests.
func Generate(random io.Reader) (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("%w: no random bytes: %w", ErrKey, err)
	}
	return private, nil
}

// EncodePrivate is the key as PEM, PKCS #8.
func EncodePrivate(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// EncodePublic is the key as PEM, PKIX.
func EncodePublic(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ParsePrivate reads a private key from PEM.
func ParsePrivate(text []byte) (ed25519.PrivateKey, error) {
	block, err := onlyBlock(text)
	switch {
	case err != nil:
		return nil, err
	case block.Type == publicBlock:
		return nil, fmt.Errorf("%w: it is a public key: only the private one signs", ErrKey)
	case block.Type != privateBlock:
		return nil, fmt.Errorf("%w: it is a PEM block %.40q: expected %q, without a passphrase", ErrKey, block.Type, privateBlock)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %T: expected ed25519: make one with weft plugin keygen", ErrKey, key)
	}
	return private, nil
}

// ParsePublic reads a public key from PEM. A private key is refused: it has no
// business where plugins are only verified.
func ParsePublic(text []byte) (ed25519.PublicKey, error) {
	block, err := onlyBlock(text)
	switch {
	case err != nil:
		return nil, err
	case block.Type == privateBlock:
		return nil, fmt.Errorf("%w: it is a private key, which is for signing: name the public one, and keep this one elsewhere", ErrKey)
	case block.Type != publicBlock:
		return nil, fmt.Errorf("%w: it is a PEM block %.40q: expected %q", ErrKey, block.Type, publicBlock)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is a %T: expected ed25519: make one with weft plugin keygen", ErrKey, key)
	}
	return public, nil
}

// onlyBlock reads the one PEM block of a text.
func onlyBlock(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: it is no PEM: expected -----BEGIN %s----- or -----BEGIN %s-----", ErrKey, publicBlock, privateBlock)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%w: it holds more than one PEM block: write each key into a file of its own", ErrKey)
	}
	return block, nil
}
