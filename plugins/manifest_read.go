package plugins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/spelling"
)

// Bounds of a manifest's texts, in bytes.
const (
	maxManifestText   = 1024 // the description
	maxManifestReason = 512
	maxManifestLink   = 256 // license, homepage
)

var (
	manifestName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	manifestVersion = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$`)
	manifestKeys    = []string{"name", "version", "description", "license", "homepage", "capabilities"}
	manifestAuthors = "x-" // begins the keys that are the author's own
)

// ParseManifest reads a manifest strictly: a key that is unknown, misspelt or given
// twice, a value of another type, a capability that does not exist are errors, all
// of which are reported. They wrap ErrManifest.
func ParseManifest(text []byte) (Manifest, error) {
	r := manifestReader{}
	m := Manifest{}
	switch {
	case len(text) > abi.MaxManifest:
		return m, fmt.Errorf("%w: %d bytes: at most %d are allowed", ErrManifest, len(text), abi.MaxManifest)
	case !utf8.Valid(text):
		return m, fmt.Errorf("%w: it is no UTF-8", ErrManifest)
	}
	seen := r.object("the manifest", text, func(key string, value json.RawMessage) {
		switch key {
		case "name":
			m.Name = r.matching(key, value, manifestName)
		case "version":
			m.Version = r.matching(key, value, manifestVersion)
		case "description":
			m.Description = r.text(key, value, maxManifestText)
		case "license":
			m.License = r.text(key, value, maxManifestLink)
		case "homepage":
			m.Homepage = r.text(key, value, maxManifestLink)
		case "capabilities":
			m.Capabilities = r.capabilities(value)
		default:
			if !strings.HasPrefix(key, manifestAuthors) {
				r.unknown("", key, manifestKeys, "name keys of your own "+manifestAuthors+"...")
			}
		}
	})
	for _, key := range []string{"name", "version"} {
		if r.syntax == nil && !seen[key] {
			r.fail("%s is missing", key)
		}
	}
	if r.syntax != nil {
		return Manifest{}, fmt.Errorf("%w: section %s: %w", ErrManifest, abi.ManifestSection, r.syntax)
	}
	return m, errors.Join(r.errs...)
}

// manifestReader collects what is wrong with a manifest.
type manifestReader struct {
	errs   []error
	syntax error // it is no JSON at all
}

func (r *manifestReader) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(format, args...)))
}

// object hands each key of an object to take and returns the keys.
func (r *manifestReader) object(what string, text []byte, take func(key string, value json.RawMessage)) map[string]bool {
	d := json.NewDecoder(bytes.NewReader(text))
	seen := map[string]bool{}
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		if err != nil {
			r.syntax = noJSON(err)
		} else {
			r.fail("%s is %.40q: expected an object", what, bytes.TrimSpace(text))
		}
		return seen
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			r.syntax = noJSON(err)
			return seen
		}
		name, _ := key.(string)
		if seen[name] {
			r.fail("key %.64q of %s is given twice", name, what)
			continue
		}
		seen[name] = true
		take(name, value)
	}
	if _, err := d.Token(); err != nil {
		r.syntax = noJSON(err)
	} else if _, err := d.Token(); !errors.Is(err, io.EOF) {
		r.syntax = errors.New("something follows the JSON object")
	}
	return seen
}

func noJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early")
	}
	return err
}

// text reads a text of at most limit bytes without control characters.
func (r *manifestReader) text(key string, value json.RawMessage, limit int) string {
	var s *string
	if err := json.Unmarshal(value, &s); err != nil || s == nil {
		r.fail("%s is %.40s: expected text", key, value)
		return ""
	}
	switch {
	case len(*s) > limit:
		r.fail("%s has %d bytes: at most %d are allowed", key, len(*s), limit)
	case strings.ContainsFunc(*s, unicode.IsControl):
		r.fail("%s holds a control character: write it on one line", key)
	}
	return *s
}

func (r *manifestReader) matching(key string, value json.RawMessage, pattern *regexp.Regexp) string {
	before := len(r.errs)
	s := r.text(key, value, abi.MaxManifest)
	if len(r.errs) == before && !pattern.MatchString(s) {
		r.fail("%s %.80q: expected %s", key, s, pattern)
	}
	return s
}

func (r *manifestReader) capabilities(text []byte) map[abi.Capability]ManifestCapability {
	all := map[abi.Capability]ManifestCapability{}
	var known []string
	for _, c := range abi.Capabilities {
		known = append(known, string(c))
	}
	r.object("capabilities", text, func(name string, value json.RawMessage) {
		switch {
		case !slices.Contains(known, name):
			r.unknown("capabilities.", name, known, "")
		default:
			all[abi.Capability(name)] = r.capability("capabilities."+name, value)
		}
	})
	return all
}

func (r *manifestReader) capability(path string, text []byte) ManifestCapability {
	var c ManifestCapability
	before := len(r.errs)
	seen := r.object(path, text, func(key string, value json.RawMessage) {
		switch key {
		case "reason":
			c.Reason = strings.TrimSpace(r.text(path+".reason", value, maxManifestReason))
		case "optional":
			var b *bool
			if err := json.Unmarshal(value, &b); err != nil || b == nil {
				r.fail("%s.optional is %.40s: expected true or false", path, value)
				return
			}
			c.Optional = *b
		default:
			r.unknown(path+".", key, []string{"reason", "optional"}, "")
		}
	})
	if len(r.errs) == before && r.syntax == nil && (!seen["reason"] || c.Reason == "") {
		r.fail("%s.reason is missing: say to the operator what the plugin needs it for", path)
	}
	return c
}

// unknown reports a key that does not exist, with the one that may be meant.
func (r *manifestReader) unknown(path, key string, known []string, otherwise string) {
	hint := "expected " + strings.Join(known, ", ")
	if near := spelling.Nearest(key, known); near != "" {
		hint = "did you mean " + near + "?"
	} else if otherwise != "" {
		hint += "; " + otherwise
	}
	r.fail("unknown key %s%.64s: %s", path, key, hint)
}
