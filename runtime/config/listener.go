package config

// defaultTopic is the topic of a listener that says nothing of it.
const defaultTopic = "raw/{listener}"

// Listener is one socket on which weft accepts connections, and what becomes of
// their messages.
type Listener struct {
	// Name is unique among the listeners: a lower-case letter, then lower-case
	// letters, digits, '-' and '_'.
	Name string `koanf:"name" yaml:"name" required:"true" form:"name"`
	// Address is an IP address and a port: 127.0.0.1:7400, [::1]:7400.
	// Port 0 lets the system choose.
	Address string `koanf:"address" yaml:"address" required:"true"`
	// Frame is the name of a preset or a key of Config.Frames.
	Frame string `koanf:"frame" yaml:"frame" required:"true"`
	// Chain is the plugins through which every message passes, in this order.
	Chain []ChainEntry `koanf:"chain" yaml:"chain"`
	// Convert is a key of Config.Converters: what it makes of the payload is what
	// the chain sees. Empty: the payload stays as it is.
	Convert string `koanf:"convert" yaml:"convert"`
	// OnFailure is what becomes of a message that Convert cannot convert: closed
	// drops it, open lets it pass unchanged, quarantine sends it to the dead
	// letters.
	OnFailure string `koanf:"on_failure" yaml:"on_failure" default:"closed" enum:"closed,open,quarantine"`
	// Topic is the template of the topic for frames that carry none.
	Topic string `koanf:"topic" yaml:"topic" default:"raw/{listener}"`
	// Subscribe is the templates of the subscriptions that each session gets as
	// soon as every placeholder is known.
	Subscribe []string `koanf:"subscribe" yaml:"subscribe"`
	// Node is the template of the session's name for unicast. Empty: the
	// frame's own node field, if it has one.
	Node string `koanf:"node" yaml:"node"`
	// Acknowledge is the template of the answer to a message that no plugin
	// answered. Empty: no answer. Where the key is absent and Frame is "line",
	// it is "ACK: {payload}".
	Acknowledge string `koanf:"acknowledge" yaml:"acknowledge"`
	// WebSocket puts WebSocket under the frames; nil is none.
	WebSocket *WebSocket `koanf:"websocket" yaml:"websocket"`
	// Limits bounds this listener's connections and frames.
	Limits ListenerLimits `koanf:"limits" yaml:"limits"`
	// Deadlines end connections that stall.
	Deadlines Deadlines `koanf:"deadlines" yaml:"deadlines"`
	// Heartbeat finds peers that are gone.
	Heartbeat Heartbeat `koanf:"heartbeat" yaml:"heartbeat"`
	// Outbox is what a connection may have waiting to be written.
	Outbox Outbox `koanf:"outbox" yaml:"outbox"`
	// TLS puts TLS under the frames; nil: none.
	TLS *TLS `koanf:"tls" yaml:"tls"`
	// Session is how long what a client has outlives its connection here; nil: as
	// Config.Session says.
	Session *ListenerSession `koanf:"session" yaml:"session"`
	// MQTT is what a listener whose frame is "mqtt" offers; nil for any other.
	MQTT *MQTT `koanf:"mqtt" yaml:"mqtt"`
	// Datagram is about a listener whose frame is "mcp-dgram"; nil for any other.
	Datagram *Datagram `koanf:"datagram" yaml:"datagram"`
	// Modbus is what a listener whose frame is "modbus-tcp" or "modbus-rtu" makes of
	// requests; nil for any other.
	Modbus *ListenerModbus `koanf:"modbus" yaml:"modbus"`
	// Filter is which sources may speak to it, and how much.
	Filter Filter `koanf:"filter" yaml:"filter"`
	// Offenders blocks sources that fail again and again; nil: nobody is blocked for
	// that.
	Offenders *Offenders `koanf:"offenders" yaml:"offenders"`
}

// ChainEntry is one step of a chain: a plugin, and optionally the configuration
// that it has in this chain. In a file it is the plugin's name alone, or
// {plugin: NAME, config: {...}}.
type ChainEntry struct {
	// Plugin is a key of Config.Plugins.
	Plugin string `koanf:"plugin" yaml:"plugin" required:"true"`
	// Config replaces the plugin's own configuration; nil leaves it.
	Config PluginConfig `koanf:"config" yaml:"config"`
	// Convert is a key of Config.Converters: what it makes of the payload is what the
	// plugin gets, and the plugins behind it. Where that fails, the plugin's on_failure
	// decides. Empty: the payload stays as it is.
	Convert string `koanf:"convert" yaml:"convert"`
}

// ListenerLimits bounds one listener's connections and frames.
type ListenerLimits struct {
	// Connections is the highest number of open connections; 0 leaves only the
	// limit of all listeners together.
	Connections int `koanf:"connections" yaml:"connections" default:"0" min:"0" max:"100000000"`
	// PerSource is the highest number of open connections from one source
	// address; 0 leaves only the limit of all listeners together.
	PerSource int `koanf:"per_source" yaml:"per_source" default:"0" min:"0" max:"100000000"`
	// Frame is the largest frame that is accepted, header and checksum included.
	Frame Size `koanf:"frame" yaml:"frame" default:"64KiB" min:"16" max:"16MiB"`
	// Handshakes is how many TLS handshakes may be under way at once. Beyond it the
	// one whose client has been silent for the longest time is ended.
	Handshakes int `koanf:"handshakes" yaml:"handshakes" default:"1024" min:"1" max:"1000000"`
}

// Deadlines end connections that stall.
type Deadlines struct {
	// Read is the longest time from a frame's first byte to its last.
	Read Duration `koanf:"read" yaml:"read" default:"15s" min:"1ms" max:"24h"`
	// Write is how long a connection may take none of what waits for it.
	Write Duration `koanf:"write" yaml:"write" default:"10s" min:"1ms" max:"24h"`
	// Handshake is how long a TLS handshake may take.
	Handshake Duration `koanf:"handshake" yaml:"handshake" default:"10s" min:"1ms" max:"1h"`
}

// Heartbeat finds peers that are gone.
type Heartbeat struct {
	// Every is after how much silence weft sends a heartbeat, where the frame
	// format has one; 0 is never.
	Every Duration `koanf:"every" yaml:"every" default:"30s" min:"0s" max:"24h"`
	// CloseAfter is after how much silence weft closes the connection; 0 is
	// never.
	CloseAfter Duration `koanf:"close_after" yaml:"close_after" default:"90s" min:"0s" max:"168h"`
}

// The values of Outbox.WhenFull.
const (
	// WhenFullPause stops reading from the publisher until half of the outbox
	// is empty again.
	WhenFullPause = "pause"
	// WhenFullDropOldest drops whole frames from the front of the outbox.
	WhenFullDropOldest = "drop-oldest"
	// WhenFullDisconnect closes the slow connection.
	WhenFullDisconnect = "disconnect"
)

// Outbox is what a connection may have waiting to be written.
type Outbox struct {
	// Size is how many bytes may wait. Under pause it may be four times as much:
	// publishers are paused when a turn ends, and one turn may bring 1 MiB. What is
	// beyond is dropped and counted; 256 KiB or more have room for all of it.
	Size Size `koanf:"size" yaml:"size" default:"1MiB" min:"1KiB" max:"1GiB"`
	// WhenFull is what happens to a message for a connection whose outbox is
	// full: pause, drop-oldest or disconnect.
	WhenFull string `koanf:"when_full" yaml:"when_full" default:"pause" enum:"pause,drop-oldest,disconnect"`
}
