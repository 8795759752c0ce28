package config

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// secretWords are what the names of secrets have in them. A name is looked at in lower
// case and without '-' and '_'.
var secretWords = []string{"secret", "passw", "passphrase", "passcode", "kennwort", "token", "credential", "apikey", "privatekey", "sharedkey", "signingkey", "encryptionkey", "authorization", "cookie", "bearer", "hmac", "pepper", "seed", "psk", "connectionstring"}

// secretNames are names of secrets as a whole.
var secretNames = []string{"key", "keys", "pass", "pin", "salt", "dsn", "auth", "pwd", "pw", "cred", "creds", "signing", "private", "jwt", "otp", "totp", "pem"}

// secretName tells whether a key is one under which a secret is to be expected.
func secretName(name string) bool {
	name = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
	for _, whole := range secretNames {
		if name == whole {
			return true
		}
	}
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.HasSuffix(name, "key")
}

// scalarSecret tells whether what stands at a key is a password in digits. Numbers at the
// other names are mostly sizes and counts: a bucket's tokens, a seed.
func scalarSecret(name string, value any) bool {
	switch value.(type) {
	case json.Number, int64, uint64, float64:
	default:
		return false
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"passw", "passphrase", "passcode", "kennwort", "secret", "psk"}, func(word string) bool {
		return strings.Contains(name, word)
	}) || name == "pin" || name == "pwd" || name == "pass" || name == "pw"
}

// secretForm are texts that are secrets wherever they stand: a private key in PEM, a
// JSON Web Token, an address with a user or a token, an authorization.
var secretForm = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY|^eyJ[\w-]+\.[\w-]+\.|://[^/?#\s@]+@|(?i)^(bearer|basic) +\S{6}`)

// passwordForm is a user with a password before an address: USER:PASSWORD@HOST, with or
// without a scheme, and with passwords that an address cannot have. The group is what may
// be a port instead.
var passwordForm = regexp.MustCompile(`(?:^|[/\s,;"'\[({])[^\s:/@]*:([^\s/@][^\s@]*)@`)

// port begins what is no password: HOST:PORT/PATH@WORD.
var port = regexp.MustCompile(`^[0-9]{1,5}/`)

// secretText tells whether a text is a secret by its form.
func secretText(text string) bool {
	if secretForm.MatchString(text) {
		return true
	}
	for _, m := range passwordForm.FindAllStringSubmatch(text, -1) {
		if !port.MatchString(m[1]) {
			return true
		}
	}
	return false
}

// reference is a place that a secret is read from, in a text.
// Behind another $ it is that text.
var reference = regexp.MustCompile(`(\$)?\$\{(env|file):([^{}]*)\}`)

// refers tells whether a text has a reference in it.
func refers(text string) bool {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if m[1] == "" {
			return true
		}
	}
	return false
}

// onlyRefers tells whether a text has nothing secret beside its references.
func onlyRefers(text string) bool {
	if !refers(text) {
		return false
	}
	rest := reference.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found
		}
		return ""
	})
	rest = strings.ToLower(strings.TrimSpace(rest))
	return rest == "" || rest == "bearer" || rest == "basic"
}
