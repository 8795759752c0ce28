package config

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Backbone is where durable routes, kept sessions and cluster-wide values are
// stored, and how several weft find each other. It starts when something in the
// configuration needs it. Paths are relative to the configuration file's folder.
type Backbone struct {
	// URL are the addresses of the servers of an external NATS cluster:
	// nats://HOST:PORT, tls://, ws:// or wss://. Empty: a server of weft's own, in
	// this process, with no port.
	URL []string `koanf:"url" yaml:"url"`
	// Name is what this weft is called among others: unique in the cluster and
	// the same after a restart. Empty: the host's name.
	Name string `koanf:"name" yaml:"name" form:"name"`
	// Data is the folder of what must survive the process. Empty: weft in
	// $STATE_DIRECTORY, else $XDG_STATE_HOME, else ~/.local/state. One process at
	// a time can use it.
	Data string `koanf:"data" yaml:"data"`
	// Size is how much the folder may hold.
	Size Size `koanf:"size" yaml:"size" default:"10GiB" min:"16MiB" max:"1PiB"`
	// StartWithin is how long weft's own server may take to read the folder at the
	// start: a damaged file can keep it at that for ever.
	StartWithin Duration `koanf:"start_within" yaml:"start_within" default:"5m" min:"1s" max:"24h"`
	// Sync is always if what is acknowledged is on the disk, interval if it is on
	// the way there and may be lost when the machine (not only weft) goes down.
	Sync string `koanf:"sync" yaml:"sync" default:"always" enum:"always,interval"`
	// SyncEvery is how often interval writes to the disk.
	SyncEvery Duration `koanf:"sync_every" yaml:"sync_every" default:"1s" min:"10ms" max:"10m"`
	// Prefix begins every subject, stream and bucket name: several clusters of
	// weft can share one NATS.
	Prefix string `koanf:"prefix" yaml:"prefix" default:"weft" form:"name"`
	// Replicas is how many servers of an external cluster hold a copy; 0 is 3
	// in a cluster, 1 with a single server.
	Replicas int `koanf:"replicas" yaml:"replicas" default:"0" min:"0" max:"5"`
	// Credentials is a .creds file, NKey a file with a seed, PasswordFile a file
	// with User's password, TokenFile one with a token.
	Credentials  string `koanf:"credentials" yaml:"credentials"`
	NKey         string `koanf:"nkey" yaml:"nkey"`
	User         string `koanf:"user" yaml:"user"`
	PasswordFile string `koanf:"password_file" yaml:"password_file"`
	TokenFile    string `koanf:"token_file" yaml:"token_file"`
	// Password is User's password and Token a token, each given by reference alone:
	// ${env:NAME} or ${file:PATH}. They are read at the start; what Credentials, NKey,
	// PasswordFile and TokenFile name is read for each connection.
	Password string `koanf:"password" yaml:"password" secret:"reference"`
	Token    string `koanf:"token" yaml:"token" secret:"reference"`
	// TLS is for connections to an external cluster.
	TLS *BackboneTLS `koanf:"tls" yaml:"tls"`
	// Forward is how much is kept in this node's own log while an external cluster
	// cannot be reached.
	Forward Size `koanf:"forward" yaml:"forward" default:"1GiB" min:"1MiB" max:"1PiB"`
}

// BackboneTLS is how weft and an external NATS cluster trust each other.
type BackboneTLS struct {
	// CA is a file with the certificates to trust. Empty: those of the system.
	CA string `koanf:"ca" yaml:"ca"`
	// Cert and Key are weft's own, for clusters that ask for one.
	Cert string `koanf:"cert" yaml:"cert"`
	Key  string `koanf:"key" yaml:"key"`
	// ServerName is the name in the servers' certificate; empty: the URL's host.
	ServerName string `koanf:"server_name" yaml:"server_name"`
}

// The values of Backbone.Sync.
const (
	SyncAlways   = "always"
	SyncInterval = "interval"
)

// External tells whether the backbone is a NATS cluster of its own.
func (b *Backbone) External() bool { return len(b.URL) > 0 }

// Folder is Data, or what stands for it; empty if there is nothing to go by.
func (b *Backbone) Folder() string {
	if b.Data != "" {
		return b.Data
	}
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, "weft")
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "weft")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "weft")
	}
	return ""
}

// NeedsBackbone tells whether anything here needs the backbone.
func (c *Config) NeedsBackbone() bool {
	if c.Backbone.External() || c.Backbone.Data != "" {
		return true
	}
	for i := range c.Routes {
		if c.Routes[i].Durable != nil {
			return true
		}
	}
	for _, p := range c.Plugins {
		if kv := p.Grants.KV; kv != nil && kv.Scope == ScopeCluster {
			return true
		}
	}
	return false
}

func (k *checker) backbone() {
	b := &k.c.Backbone
	for i, text := range b.URL {
		u, err := url.Parse(text)
		known := err == nil && (u.Scheme == "nats" || u.Scheme == "tls" || u.Scheme == "ws" || u.Scheme == "wss")
		if !known || u.Hostname() == "" {
			k.add(join("backbone.url", strconv.Itoa(i)), Problem{Cause: "not an address", Value: show(redacted(text)), Expected: "nats://HOST:PORT, or tls, ws or wss in the place of nats"})
		} else if u.User != nil {
			k.add(join("backbone.url", strconv.Itoa(i)), Problem{Cause: "a password in the configuration", Value: show(redacted(text)), Fix: "write backbone.user and backbone.password_file"})
		} else if u.Port() == "" {
			k.add(join("backbone.url", strconv.Itoa(i)), Problem{Cause: "no port", Value: show(text), Expected: "a host and a port", Fix: "write " + u.Scheme + "://" + net.JoinHostPort(u.Hostname(), "4222")})
		}
	}
	if b.Name != "" {
		k.name("backbone.name", b.Name)
	}
	k.name("backbone.prefix", b.Prefix)
	k.backboneAccess(b)
}

// backboneAccess checks how weft shows a cluster who it is: in one way, and only to a
// cluster.
func (k *checker) backboneAccess(b *Backbone) {
	ways := []struct{ key, value string }{{"credentials", b.Credentials}, {"nkey", b.NKey}, {"user", b.User}, {"token_file", b.TokenFile}, {"token", hidden(b.Token)}}
	first := ""
	for _, w := range ways {
		switch {
		case w.value == "":
		case !b.External():
			k.add(join("backbone", w.key), Problem{Cause: "has no effect", Value: show(w.value), Fix: "remove it, or write backbone.url: the server in the process lets nobody else in"})
		case first != "":
			k.add(join("backbone", w.key), Problem{Cause: "has no effect", Value: show(w.value), Fix: "remove it, or backbone." + first + ": a server is shown one of them"})
		default:
			first = w.key
		}
	}
	switch {
	case b.User != "" && b.PasswordFile == "" && b.Password == "" && k.c.says("backbone.password"): // said already
	case b.User != "" && b.PasswordFile == "" && b.Password == "":
		k.add("backbone.user", Problem{Cause: "no password", Value: show(b.User), Fix: "write backbone.password_file, or backbone.password: ${env:NAME}"})
	case b.PasswordFile != "" && b.Password != "":
		k.add("backbone.password", Problem{Cause: "has no effect", Fix: "remove it, or backbone.password_file: there is one password"})
	case b.User == "" && b.Password != "":
		k.add("backbone.password", Problem{Cause: "has no effect", Fix: "write backbone.user, or remove it"})
	case b.User == "" && b.PasswordFile != "":
		k.add("backbone.password_file", Problem{Cause: "has no effect", Value: show(b.PasswordFile), Fix: "write backbone.user, or remove it"})
	}
	t := b.TLS
	switch {
	case t == nil:
	case !b.External():
		k.add("backbone.tls", Problem{Cause: "has no effect", Fix: "remove it, or write backbone.url: the server in the process has no port"})
	case t.Cert != "" && t.Key == "":
		k.add("backbone.tls.cert", Problem{Cause: "no key", Value: show(t.Cert), Fix: "write backbone.tls.key"})
	case t.Cert == "" && t.Key != "":
		k.add("backbone.tls.key", Problem{Cause: "no certificate", Value: show(t.Key), Fix: "write backbone.tls.cert"})
	}
}

// hidden is what stands for a secret in a message.
func hidden(secret string) string {
	if secret == "" {
		return ""
	}
	return Hidden
}

// redacted is an address without its password: a user alone may be a token.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a URL)"
	}
	if _, whole := u.User.Password(); !whole && secretText(text) {
		return Hidden
	}
	return u.Redacted()
}
