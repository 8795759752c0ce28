package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Plugin declares one plugin.
type Plugin struct {
	// File is where the module lies: "std:NAME" for one that ships with weft,
	// or a path, which is relative to the configuration file's folder.
	File string `koanf:"file" yaml:"file" required:"true"`
	// Config is handed to the plugin's init. Nil: no configuration. Any shape
	// is allowed; weft does not look into it, except that in texts ${env:NAME} stands
	// for an environment variable and ${file:PATH} for a file's content (relative to
	// the configuration file's folder), which is how a secret is given. They are read
	// again at each reload. $${env:NAME} is that text itself.
	Config PluginConfig `koanf:"config" yaml:"config"`
	// Grants is what the plugin may call. What is not granted is refused.
	Grants Grants `koanf:"grants" yaml:"grants"`
	// Memory is the most that one instance of the plugin may have.
	Memory Size `koanf:"memory" yaml:"memory" default:"16MiB" min:"64KiB" max:"4GiB"`
	// CPU is what the plugin may spend on one message. It is metered as fuel; a
	// call that has spent it for all of its messages traps.
	CPU Duration `koanf:"cpu" yaml:"cpu" default:"50us" min:"1us" max:"1s"`
	// StartCPU is what the plugin may spend on each step of an instance's life
	// beside messages: its init, and handing over its state.
	StartCPU Duration `koanf:"start_cpu" yaml:"start_cpu" default:"20ms" min:"1us" max:"1s"`
	// Deadline is how long a message may wait in the plugin for asynchronous
	// calls, all of them together: no wait begins after it.
	Deadline Duration `koanf:"deadline" yaml:"deadline" default:"30s" min:"1ms" max:"1h"`
	// OnFailure is what becomes of a message that the plugin could not handle:
	// closed drops it, open lets it pass unchanged, quarantine sends it to the
	// dead letters. A session that such a plugin could not judge when it began
	// is refused, unless open.
	OnFailure string `koanf:"on_failure" yaml:"on_failure" default:"closed" enum:"closed,open,quarantine"`
	// Tick is how often the plugin's tick is called, if it has one.
	Tick Duration `koanf:"tick" yaml:"tick" default:"1s" min:"10ms" max:"24h"`
	// SHA256 is the expected SHA-256 of the module in hexadecimal, with or without
	// "sha256:" before it. Empty: not checked.
	SHA256 string `koanf:"sha256" yaml:"sha256"`
	// SignedBy are the ids of keys in trust.keys that must all have signed the
	// module.
	SignedBy []string `koanf:"signed_by" yaml:"signed_by"`
	// Watch makes a new generation when the file changes. A plugin that ships
	// with weft has no file to watch.
	Watch bool `koanf:"watch" yaml:"watch" default:"true"`
	// Rollout is how a new generation takes the place of the running one.
	Rollout Rollout `koanf:"rollout" yaml:"rollout"`

	// Path is the module's resolved path; empty for a plugin that ships with
	// weft. Load sets it.
	Path string `koanf:"-" yaml:"-"`
}

const stdPrefix = "std:"

// Std returns the name of a plugin that ships with weft; ok is false where File
// is a path.
func (p Plugin) Std() (name string, ok bool) { return strings.CutPrefix(p.File, stdPrefix) }

// The values of Plugin.OnFailure.
const (
	OnFailureClosed     = "closed"
	OnFailureOpen       = "open"
	OnFailureQuarantine = "quarantine"
)

// Grants is what a plugin may call, one field a capability; nil is not granted.
type Grants struct {
	// Log lets the plugin write to weft's log.
	Log *LogGrant `koanf:"log" yaml:"log"`
	// Metrics lets the plugin keep metrics of its own.
	Metrics *MetricsGrant `koanf:"metrics" yaml:"metrics"`
	// Clock lets the plugin read the time.
	Clock *Grant `koanf:"clock" yaml:"clock"`
	// Random lets the plugin draw random bytes.
	Random *RandomGrant `koanf:"random" yaml:"random"`
	// KV lets the plugin keep values that outlive its instances.
	KV *KVGrant `koanf:"kv" yaml:"kv"`
	// HTTP lets the plugin send HTTP requests. Its messages may wait for the
	// answers.
	HTTP *HTTPGrant `koanf:"http" yaml:"http"`
	// Filter lets the plugin say which sources may speak to the listeners in whose
	// chains it stands.
	Filter *FilterGrant `koanf:"filter" yaml:"filter"`
	// Publish lets the plugin emit messages.
	Publish *PublishGrant `koanf:"publish" yaml:"publish"`
	// Subscribe lets the plugin begin and end subscriptions of sessions.
	Subscribe *SubscribeGrant `koanf:"subscribe" yaml:"subscribe"`
	// WASI lets in a module whose compiler insists on WASI. It opens nothing.
	WASI *Grant `koanf:"wasi" yaml:"wasi"`
}

// Grant is a capability without a scope.
type Grant struct{}

// LogGrant is the scope of the log capability.
type LogGrant struct {
	// Rate is how many lines a second the plugin may write on average; what is
	// over it is counted.
	Rate int `koanf:"rate" yaml:"rate" default:"100" min:"1" max:"1000000"`
	// Burst is how many lines at once; 0: twice the rate.
	Burst int `koanf:"burst" yaml:"burst" default:"0" min:"0" max:"1000000"`
}

// MetricsGrant is the scope of the metrics capability.
type MetricsGrant struct {
	// Max is how many metrics the plugin may have.
	Max int `koanf:"max" yaml:"max" default:"64" min:"1" max:"10000"`
}

// RandomGrant is the scope of the random capability.
type RandomGrant struct {
	// Rate is how many bytes a second the plugin may read on average, and, if
	// that is more than 1 MiB, at once.
	Rate Size `koanf:"rate" yaml:"rate" default:"16MiB" min:"1B" max:"1GiB"`
}

// FilterGrant is the scope of the filter capability.
type FilterGrant struct {
	// Sources is how many sources the plugin may block or allow at once, over all its
	// instances.
	Sources int `koanf:"sources" yaml:"sources" default:"1000" min:"1" max:"65536"`
	// Longest is how long it may do so; each rule ends by itself.
	Longest Duration `koanf:"longest" yaml:"longest" default:"10m" min:"1s" max:"24h"`
	// Rate is how many changes it may make on average; as many as in a second at once.
	Rate Rate `koanf:"rate" yaml:"rate" default:"100/s" min:"1/h" max:"10000/s"`
}

// PublishGrant is the scope of the publish capability.
type PublishGrant struct {
	// Topics are the patterns of the topics to which the plugin may emit.
	Topics []string `koanf:"topics" yaml:"topics" required:"true"`
}

// SubscribeGrant is the scope of the subscribe capability.
type SubscribeGrant struct {
	// Topics are patterns: what the plugin subscribes a session to must lie
	// within one of them. A queue group is named as queue:NAME.
	Topics []string `koanf:"topics" yaml:"topics" required:"true"`
}

// KVGrant is the scope of the key-value capability.
type KVGrant struct {
	// Namespace separates keys. Plugins with the same namespace share them.
	// Empty: the plugin's name.
	Namespace string `koanf:"namespace" yaml:"namespace"`
	// Size bounds the bytes of all keys and values of the namespace.
	Size Size `koanf:"size" yaml:"size" default:"1MiB" min:"1KiB" max:"1GiB"`
	// Entries bounds how many keys the namespace has; 0 sets no bound beside
	// the size.
	Entries int `koanf:"entries" yaml:"entries" default:"0" min:"0" max:"10000000"`
	// TTL is the longest time that a value of the plugin's lives; longer ones,
	// and those that were to live for ever, are cut to it. 0: no bound.
	TTL Duration `koanf:"ttl" yaml:"ttl" default:"0s" min:"0s" max:"8760h"`
	// Scope is how far the namespace reaches: process is this weft, until it ends;
	// cluster is all nodes of the backbone, and values outlive the process. Each node
	// reads and writes a copy of its own, which the others' changes reach some
	// milliseconds later; of two that change a key at once the later one stays.
	Scope string `koanf:"scope" yaml:"scope" default:"process" enum:"process,cluster"`
}

// The values of KVGrant.Scope.
const (
	ScopeProcess = "process"
	ScopeCluster = "cluster"
)

// HTTPGrant is the scope of the HTTP capability.
type HTTPGrant struct {
	// Hosts is where requests may go: api.example.org (https), with a port
	// api.example.org:8443, *.example.org for every name below, and
	// http://10.0.0.7:8080 where it is to be plain HTTP. A name other than
	// localhost does not lead to the machine itself or to its link: whoever
	// owns it decides where it leads. Name such an address.
	Hosts []string `koanf:"hosts" yaml:"hosts" required:"true"`
	// Concurrency is how many requests the plugin may have under way at once.
	Concurrency int `koanf:"concurrency" yaml:"concurrency" default:"16" min:"1" max:"1024"`
	// Deadline is how long one may take, and so how long its messages wait.
	Deadline Duration `koanf:"deadline" yaml:"deadline" default:"5s" min:"1ms" max:"1m"`
	// Request bounds the body of a request.
	Request Size `koanf:"request" yaml:"request" default:"64KiB" min:"1B" max:"1MiB"`
	// Response bounds the body of an answer.
	Response Size `koanf:"response" yaml:"response" default:"64KiB" min:"1B" max:"1MiB"`
}

// PluginConfig is a plugin's configuration as JSON. It may hold secrets: every
// way of printing it shows only how long it is. Convert it to []byte to hand it
// on.
type PluginConfig []byte

// String tells how long the configuration is, and nothing else.
func (c PluginConfig) String() string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("(%d bytes, not shown)", len(c))
}

// Format makes every verb of fmt print what String returns.
func (c PluginConfig) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, c.String()) }

// LogValue makes log/slog write what String returns.
func (c PluginConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText makes encoders write what String returns.
func (c PluginConfig) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
