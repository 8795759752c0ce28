package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Claims are what a token of weft's jwt-auth plugin says about its bearer.
type Claims struct {
	// Subject is the identity.
	Subject string `json:"sub"`
	// Subscribe lists patterns to subscribe to as soon as the token is accepted.
	Subscribe []string `json:"subscribe,omitempty"`
	// Expires is in seconds since 1970; 0 for never.
	Expires int64 `json:"exp,omitempty"`
}

// Token signs claims as a JSON Web Token by HS256 (RFC 7519, RFC 7515).
func Token(key []byte, c Claims) (string, error) {
	claims, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding the claims: %w", err)
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil)), nil
}

// TokenHello is a Frames.Hello that sends each connection's own token: the
// identity is its role and index ("publisher-0"), the subscriptions are the peer's.
func TokenHello(key []byte, lifetime time.Duration) func(Peer) []byte {
	return func(p Peer) []byte {
		c := Claims{Subject: fmt.Sprintf("%s-%d", p.Role, p.Index), Expires: time.Now().Add(lifetime).Unix()}
		if p.Role == RoleSubscriber {
			c.Subscribe = p.Subscribe
		}
		token, err := Token(key, c)
		if err != nil {
			return nil // strings and a number always encode
		}
		return []byte(token)
	}
}
