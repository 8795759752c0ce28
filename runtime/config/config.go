// Package config reads weft's configuration: defaults, then a file, then the
// environment, then overrides, merged into one plain struct and checked as far
// as that is possible without knowing the rest of weft.
package config

// Config is the whole configuration. A Config that Load returned has every
// default filled in and is never changed afterwards: a reload makes a new one.
//
// The tags are the single description of the shape: koanf and yaml hold the key,
// default the value of an absent key (in the form in which a file would hold
// it), enum the allowed values, min and max the bounds of numbers, sizes and
// durations, secret that text is shown to nobody (in a mapping: under names that sound
// like secrets; with secret:"all", under all), reference that it must be
// given by one, form what the schema says of a text or
// of a mapping's keys.
type Config struct {
	// Loops is the number of event loops; 0 lets weft choose.
	Loops int `koanf:"loops" yaml:"loops" default:"0" min:"0" max:"1024"`
	// Limits holds for all listeners together.
	Limits Limits `koanf:"limits" yaml:"limits"`
	// Drain is how long a shutdown waits for queues to empty before it closes
	// the connections that are left.
	Drain Duration `koanf:"drain" yaml:"drain" default:"10s" min:"0s" max:"1h"`
	// Listeners are the sockets on which weft accepts connections.
	Listeners []Listener `koanf:"listeners" yaml:"listeners"`
	// Plugins are the declared plugins by name. A plugin that no chain names is
	// loaded and checked, but never called.
	Plugins map[string]Plugin `koanf:"plugins" yaml:"plugins" form:"name"`
	// Compile is where plugins become machine code: child is a process beside weft,
	// which takes only processor time that nobody else wants, and whose memory is
	// bounded; process is weft itself.
	Compile string `koanf:"compile" yaml:"compile" default:"child" enum:"child,process"`
	// Trust is about who may sign plugins.
	Trust Trust `koanf:"trust" yaml:"trust"`
	// Routes are asked in order; the first one that matches decides.
	Routes []Route `koanf:"routes" yaml:"routes"`
	// Watch reads this file again when it changes and puts it into effect; what needs a
	// restart is named in the log.
	Watch bool `koanf:"watch" yaml:"watch" default:"true"`
	// DefaultRoute is where a message goes that no route matches: the text of
	// destinations.
	DefaultRoute []string `koanf:"default_route" yaml:"default_route" default:"[subscribers]"`
	// Requests is about matching responses to requests.
	Requests Requests `koanf:"requests" yaml:"requests"`
	// DeadLetter is about messages that could not be delivered.
	DeadLetter DeadLetter `koanf:"dead_letter" yaml:"dead_letter"`
	// Frames are the operator's own frame formats by name.
	Frames map[string]Frame `koanf:"frames" yaml:"frames" form:"name"`
	// Session is about sessions that outlive their connection.
	Session Sessions `koanf:"session" yaml:"session"`
	// Modbus is about Modbus devices that weft asks.
	Modbus Modbus `koanf:"modbus" yaml:"modbus"`
	// Upstreams are pools of servers that take messages, by name.
	Upstreams map[string]Upstream `koanf:"upstreams" yaml:"upstreams" form:"name"`
	// Consul is the agent where services are registered and found.
	Consul Consul `koanf:"consul" yaml:"consul"`
	// Converters turn payloads of one codec into another, by name.
	Converters map[string]Converter `koanf:"converters" yaml:"converters" form:"name"`
	// Backbone is what outlives the process, and what connects several.
	Backbone Backbone `koanf:"backbone" yaml:"backbone"`
	// Kernel lets the kernel drop what listeners' filters forbid; nil: weft does it.
	Kernel *Kernel `koanf:"kernel" yaml:"kernel"`
	// Tracing exports traces by OpenTelemetry's protocol.
	Tracing Tracing `koanf:"tracing" yaml:"tracing"`
	// API is about the admin API, the metrics and the health endpoints.
	API API `koanf:"api" yaml:"api"`
	// Log is about weft's own log.
	Log Log `koanf:"log" yaml:"log"`

	origin *origin
}

// Limits bounds the connections of all listeners together.
type Limits struct {
	// Connections is the highest number of open connections.
	Connections int `koanf:"connections" yaml:"connections" default:"100000" min:"1" max:"100000000"`
	// PerSource is the highest number of open connections from one source
	// address; 0 is no limit.
	PerSource int `koanf:"per_source" yaml:"per_source" default:"0" min:"0" max:"100000000"`
}

// Requests is about matching responses to requests.
type Requests struct {
	// Timeout is how long weft waits for the response to a request.
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"10s" min:"1ms" max:"24h"`
}

// DeadLetter is about messages that could not be delivered.
type DeadLetter struct {
	// Topic is where such a message is published, with the reason as an
	// attribute. Empty: it is only kept and counted.
	Topic string `koanf:"topic" yaml:"topic" default:"weft/dead-letter"`
	// Keep is how many such messages are kept for "weft deadletter", in memory:
	// they are gone when weft ends. The oldest make room for newer ones. 0 keeps
	// none.
	Keep int `koanf:"keep" yaml:"keep" default:"10000" min:"0" max:"10000000"`
	// Size is how much memory they may take together.
	Size Size `koanf:"size" yaml:"size" default:"64MiB" min:"1KiB" max:"16GiB"`
}

// API is about the admin API, the metrics and the health endpoints, which share
// one address.
type API struct {
	// Address is the IP address and port to listen on. Empty: no API.
	Address string `koanf:"address" yaml:"address" default:"127.0.0.1:7480"`
	// Tokens let in who shows one, by a name for the log. On an address that is not a
	// loopback one there must be tokens, or certificates of clients.
	Tokens map[string]APIToken `koanf:"tokens" yaml:"tokens" secret:"true" form:"name"`
	// Certificates give roles to certificates of clients (tls.client_ca). One that holds
	// and is not named has the role operate where none is named, and none otherwise.
	Certificates []APICertificate `koanf:"certificates" yaml:"certificates"`
	// Anonymous is the role of who shows neither: none, messages, read or operate. Where
	// the key is absent it is operate on a loopback address as long as neither tokens nor
	// certificates are named, and none otherwise.
	Anonymous string `koanf:"anonymous" yaml:"anonymous" enum:"none,messages,read,operate"`
	// Rate is how many calls a second each caller may make that are not about messages;
	// twice as many at once. 0 is no bound.
	Rate Rate `koanf:"rate" yaml:"rate" default:"200/s" min:"0" max:"1000000/s"`
	// Connections is how many there may be at the same time; others wait.
	Connections int `koanf:"connections" yaml:"connections" default:"1024" min:"1" max:"1000000"`
	// Hosts are further host names under which clients may address the API;
	// IP addresses and localhost are always accepted.
	Hosts []string `koanf:"hosts" yaml:"hosts"`
	// TLS serves the API by HTTPS; nil: by HTTP. With client_auth: require any
	// address is permitted.
	TLS *TLS `koanf:"tls" yaml:"tls"`
	// CORS are the origins, each scheme and host, of pages in browsers that may use
	// the API, such as https://console.example.org; "*" is every page. Empty: pages
	// from elsewhere can neither read nor change anything.
	CORS []string `koanf:"cors" yaml:"cors"`
}

// Log is about weft's own log.
type Log struct {
	// Level is the lowest level that is written.
	Level string `koanf:"level" yaml:"level" default:"info" enum:"debug,info,warn,error"`
	// Format is text for people or json for programs.
	Format string `koanf:"format" yaml:"format" default:"text" enum:"text,json"`
}
