package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi/spelling"
	"github.com/weftrun/weft/runtime/backbone"
	"github.com/weftrun/weft/runtime/upstream/consul"
)

// ErrURL is wrapped by every error about the address of a configuration.
var ErrURL = errors.New("not an address of a configuration")

// forms are what the addresses look like, by scheme.
var forms = map[string]string{
	"nats":       "nats://HOST:4222/BUCKET/KEY",
	"nats+tls":   "nats+tls://HOST:4222/BUCKET/KEY",
	"consul":     "consul://HOST:8500/KEY",
	"consul+tls": "consul+tls://HOST:8501/KEY",
	"etcd":       "etcd://HOST:2379/KEY",
	"etcd+tls":   "etcd+tls://HOST:2379/KEY",
}

// Is tells addresses from names of files.
func Is(name string) bool { return strings.Contains(name, "://") }

// access is what an address says behind its question mark.
type access struct{ url.Values }

// file is the name of a file; empty if none is given.
func (a access) file(key string) string { return a.Get(key) }

// Parse reads an address: a store, a key in it, and behind ? the files with what is
// needed to be let in. Nothing is asked yet.
func Parse(text string) (*Source, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no URL", ErrURL)
	}
	form, known := forms[u.Scheme]
	if !known {
		all := slices.Sorted(maps.Keys(forms))
		fix := ""
		if like := spelling.Nearest(u.Scheme, all); like != "" {
			fix = "; did you mean " + like + "?"
		}
		return nil, fmt.Errorf("%w: %s://: expected %s%s", ErrURL, u.Scheme, strings.Join(all, ", "), fix)
	}
	key := strings.TrimPrefix(u.Path, "/")
	if _, secret := u.User.Password(); secret {
		return nil, fmt.Errorf("%w: a password in it: others see it in the list of processes; write it into a file, and ?password_file=FILE", ErrURL)
	}
	if u.Hostname() == "" || key == "" {
		return nil, fmt.Errorf("%w: %s: expected %s", ErrURL, u.Redacted(), form)
	}
	s := &Source{Name: u.Scheme + "://" + u.Host + u.Path}
	a := access{u.Query()}
	if s.Format, err = formatOf(a, key); err != nil {
		return nil, err
	}
	kind, secure := strings.CutSuffix(u.Scheme, "+tls")
	switch kind {
	case "nats":
		err = s.nats(u, key, a, secure)
	case "consul":
		err = s.consul(u, key, a, secure)
	default:
		err = s.etcd(u, key, a, secure)
	}
	return s, err
}

// formatOf is the document's format: what ?format= says, else what its key ends with, else
// YAML.
func formatOf(a access, key string) (string, error) {
	format := a.Get("format")
	if format == "" {
		switch strings.ToLower(path.Ext(key)) {
		case ".toml":
			return "toml", nil
		case ".json":
			return "json", nil
		}
		return "yaml", nil
	}
	if format != "yaml" && format != "toml" && format != "json" {
		return "", fmt.Errorf("%w: ?format=%s: expected yaml, toml or json", ErrURL, format)
	}
	return format, nil
}

// only refuses what the address says and the store does not know.
func (a access) only(known ...string) error {
	known = append(known, "format", "ca", "cert", "key", "server_name")
	for _, key := range slices.Sorted(maps.Keys(a.Values)) {
		if slices.Contains(known, key) {
			continue
		}
		slices.Sort(known)
		fix := ""
		if like := spelling.Nearest(key, known); like != "" {
			fix = "; did you mean " + like + "?"
		}
		return fmt.Errorf("%w: ?%s=: expected %s%s", ErrURL, key, strings.Join(known, ", "), fix)
	}
	return nil
}

func (s *Source) nats(u *url.URL, key string, a access, secure bool) error {
	bucket, key, ok := strings.Cut(key, "/")
	if !ok || bucket == "" || key == "" || strings.Contains(bucket, ".") {
		return fmt.Errorf("%w: %s: expected %s", ErrURL, s.Name, forms["nats"])
	}
	if err := a.only("credentials", "nkey", "password_file", "token_file"); err != nil {
		return err
	}
	o := backbone.DocumentOptions{Bucket: bucket, Key: strings.ReplaceAll(key, "/", "."), Access: backbone.Access{
		Credentials: a.file("credentials"), NKey: a.file("nkey"), User: u.User.Username(), PasswordFile: a.file("password_file"), TokenFile: a.file("token_file"),
		TLS: secure, CA: a.file("ca"), Cert: a.file("cert"), Key: a.file("key"), ServerName: a.Get("server_name"),
	}}
	for host := range strings.SplitSeq(u.Host, ",") {
		o.URLs = append(o.URLs, "nats://"+host)
	}
	s.open = func() (store, error) { return backbone.NewDocument(o), nil }
	return nil
}

func (s *Source) consul(u *url.URL, key string, a access, secure bool) error {
	if err := a.only("token_file", "datacenter"); err != nil {
		return err
	}
	o := consul.Options{Address: "http://" + u.Host, TokenFile: a.file("token_file"), Datacenter: a.Get("datacenter")}
	if secure {
		settings, err := a.tls()
		if err != nil {
			return err
		}
		o.Address, o.Secure = "https://"+u.Host, true
		o.TLS = func(host string) *tls.Config {
			c := settings.Clone()
			if c.ServerName == "" {
				c.ServerName = host
			}
			return c
		}
	}
	s.open = func() (store, error) { return consul.NewDocument(key, o) }
	return nil
}

func (s *Source) etcd(u *url.URL, key string, a access, secure bool) error {
	if err := a.only("password_file"); err != nil {
		return err
	}
	o := etcdOptions{Address: "http://" + u.Host, Key: key, User: u.User.Username(), PasswordFile: a.file("password_file")}
	if secure {
		settings, err := a.tls()
		if err != nil {
			return err
		}
		o.Address, o.TLS = "https://"+u.Host, settings
	}
	s.open = func() (store, error) { return newEtcd(o), nil }
	return nil
}

// tls reads the files of certificates.
func (a access) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.Get("server_name")}
	if file := a.file("ca"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%w: ?ca=: %w", ErrURL, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%w: ?ca=%s: no certificate in it: expected PEM", ErrURL, file)
		}
	}
	if a.file("cert") != "" {
		pair, err := tls.LoadX509KeyPair(a.file("cert"), a.file("key"))
		if err != nil {
			return nil, fmt.Errorf("%w: ?cert=, ?key=: %w", ErrURL, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
