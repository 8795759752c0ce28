package config

// Upstream is a pool of servers that take messages or answer them; routes and plugins
// name it as upstream:NAME.
type Upstream struct {
	// Protocol is http for a request a message, tcp for frames of Frame, weft for
	// frames to a listener of another weft.
	Protocol string `koanf:"protocol" yaml:"protocol" required:"true" enum:"http,tcp,weft"`
	// Frame is the name of a preset or a key of Config.Frames, of tcp and weft. Empty
	// is mcp-seq for weft.
	Frame string `koanf:"frame" yaml:"frame"`
	// Members are those that are known beforehand; with DNS or Consul they stand until
	// its first answer.
	Members []UpstreamMember `koanf:"members" yaml:"members"`
	// DNS finds members by name; nil: it is not asked.
	DNS *UpstreamDNS `koanf:"dns" yaml:"dns"`
	// Consul finds members in a service registry; nil: it is not asked.
	Consul *UpstreamConsul `koanf:"consul" yaml:"consul"`
	// Balance is how a message's member is chosen. least_connections takes the one of
	// two random members that has less under way; weighted is round robin by weight;
	// hash takes the same member for messages for which Key gives the same text.
	Balance string `koanf:"balance" yaml:"balance" default:"round_robin" enum:"round_robin,random,least_connections,weighted,hash"`
	// Key is the template of what hash goes by. Messages with one key go by one
	// connection, in order.
	Key string `koanf:"key" yaml:"key"`
	// InFlight is how many messages are under way at once, their retries included.
	InFlight int `koanf:"in_flight" yaml:"in_flight" default:"256" min:"1" max:"65536"`
	// Queue is how many more may wait; what comes while so many do is refused.
	Queue int `koanf:"queue" yaml:"queue" default:"1024" min:"1" max:"1000000"`
	// Timeout is how long each try may take. A request is given up when its time is
	// over (requests.timeout) in any case.
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"5s" min:"1ms" max:"1h"`
	// ConnectTimeout is how long making a connection may take.
	ConnectTimeout Duration `koanf:"connect_timeout" yaml:"connect_timeout" default:"1s" min:"1ms" max:"10m"`
	// Retries is how often a message that failed is tried again, each time with
	// another member where there is one.
	Retries int `koanf:"retries" yaml:"retries" default:"2" min:"0" max:"7"`
	// RetryOn says after which failures: unsent, if the member has certainly not seen
	// the message; any, if it may have (it did not answer in time, its connection
	// broke), which is for members that bear a message twice.
	RetryOn string `koanf:"retry_on" yaml:"retry_on" default:"unsent" enum:"unsent,any"`
	// Backoff is the wait between two tries.
	Backoff UpstreamBackoff `koanf:"backoff" yaml:"backoff"`
	// Budget is how many retries and hedges there may be for a hundred messages, over
	// ten seconds; three a second are always allowed.
	Budget Percent `koanf:"budget" yaml:"budget" default:"20%" min:"0%" max:"100%"`
	// Rate bounds the messages a second; nil: no bound.
	Rate *UpstreamRate `koanf:"rate" yaml:"rate"`
	// Breaker stops asking members that fail.
	Breaker UpstreamBreaker `koanf:"breaker" yaml:"breaker"`
	// Health is how members are found out to be ill or well.
	Health UpstreamHealth `koanf:"health" yaml:"health"`
	// Connections bounds those to each member.
	Connections UpstreamConnections `koanf:"connections" yaml:"connections"`
	// SlowStart is how long a member that has come or come back gets less than its
	// share, growing evenly; 0: its share at once.
	SlowStart Duration `koanf:"slow_start" yaml:"slow_start" default:"0s" min:"0s" max:"1h"`
	// Hedge sends a request to a second member as well when the first has not answered
	// for so long; the first answer counts. 0: never. Members must bear a message twice.
	Hedge Duration `koanf:"hedge" yaml:"hedge" default:"0s" min:"0s" max:"1h"`
	// TLS puts TLS under the protocol; nil: none.
	TLS *ClientTLS `koanf:"tls" yaml:"tls"`
	// HTTP is what a request is like; nil for any other protocol.
	HTTP *UpstreamHTTP `koanf:"http" yaml:"http"`
	// OnFailure is what becomes of a message, other than a request, that no member has
	// taken: quarantine sends it to the dead letters, drop only counts it. Who asks is
	// not answered, and knows.
	OnFailure string `koanf:"on_failure" yaml:"on_failure" default:"quarantine" enum:"quarantine,drop"`
	// Confirm, with tcp and weft, sends every message as a request, and takes it for
	// taken when it is answered. Otherwise a message that is no request is taken when
	// it is written to the connection; a member that answers those as well needs this.
	Confirm bool `koanf:"confirm" yaml:"confirm" default:"false"`
	// Answer is the largest answer: a frame, or an HTTP response's body.
	Answer Size `koanf:"answer" yaml:"answer" default:"1MiB" min:"16B" max:"16MiB"`
}

// UpstreamMember is one server of a pool. In a file it is the address alone, or
// {address: HOST:PORT, weight: N}.
type UpstreamMember struct {
	// Address is a host and a port.
	Address string `koanf:"address" yaml:"address" required:"true"`
	// Weight is the member's share among the others.
	Weight int `koanf:"weight" yaml:"weight" default:"1" min:"1" max:"1000"`
}

// UpstreamDNS finds members by DNS.
type UpstreamDNS struct {
	// Name is a host name, or with type srv the whole name of the records, such as
	// _http._tcp.example.org.
	Name string `koanf:"name" yaml:"name" required:"true"`
	// Type is a for addresses (A and AAAA), srv for hosts with ports and weights.
	Type string `koanf:"type" yaml:"type" default:"a" enum:"a,srv"`
	// Port is the members' port, with type a.
	Port int `koanf:"port" yaml:"port" default:"0" min:"0" max:"65535"`
	// Every is how often it is asked again.
	Every Duration `koanf:"every" yaml:"every" default:"30s" min:"100ms" max:"24h"`
}

// UpstreamConsul finds members in Consul. Without an address it asks the agent of
// Config.Consul, and has its other keys too where it leaves them out.
type UpstreamConsul struct {
	// Address is the agent's URL. Empty: that of Config.Consul.
	Address string `koanf:"address" yaml:"address"`
	// Service is the service's name.
	Service string `koanf:"service" yaml:"service" required:"true"`
	// Tags are what its instances must all have.
	Tags []string `koanf:"tags" yaml:"tags"`
	// Datacenter is where; empty: the agent's own.
	Datacenter string `koanf:"datacenter" yaml:"datacenter"`
	// TokenFile is a file with the token to ask with; empty: none.
	TokenFile string `koanf:"token_file" yaml:"token_file"`
	// TLS is how weft and the agent trust each other; nil: as the system does.
	TLS *ClientTLS `koanf:"tls" yaml:"tls"`

	inherited bool // from Config.Consul: the address, and what else was left out
}

// UpstreamBackoff is a wait that doubles from First to Most. What is really waited is
// by chance between nothing and that.
type UpstreamBackoff struct {
	First Duration `koanf:"first" yaml:"first" default:"25ms" min:"1ms" max:"1h"`
	Most  Duration `koanf:"most" yaml:"most" default:"1s" min:"1ms" max:"1h"`
}

// UpstreamRate is a token bucket.
type UpstreamRate struct {
	// Messages is how many a second, in the long run.
	Messages int `koanf:"messages" yaml:"messages" required:"true" min:"1" max:"10000000"`
	// Burst is how many at once; 0: as many as in a second.
	Burst int `koanf:"burst" yaml:"burst" default:"0" min:"0" max:"10000000"`
	// Wait is how long a message may wait for its turn.
	Wait Duration `koanf:"wait" yaml:"wait" default:"1s" min:"0s" max:"1h"`
}

// UpstreamBreaker opens a member's circuit when too many of its messages fail: for a
// while it gets nothing, then is tried with a few.
type UpstreamBreaker struct {
	// Calls is how many messages there must be within Window; 0: it never opens.
	Calls int `koanf:"calls" yaml:"calls" default:"20" min:"0" max:"1000000"`
	// Share is the share of them that must fail.
	Share Percent `koanf:"share" yaml:"share" default:"50%" min:"1%" max:"100%"`
	// Window is the time in which they are counted.
	Window Duration `koanf:"window" yaml:"window" default:"10s" min:"100ms" max:"1h"`
	// Open is how long the member gets nothing.
	Open Duration `koanf:"open" yaml:"open" default:"5s" min:"10ms" max:"24h"`
	// Probes is how many messages may then go, and must succeed.
	Probes int `koanf:"probes" yaml:"probes" default:"3" min:"1" max:"1000"`
}

// UpstreamHealth is how members are found out to be ill or well.
type UpstreamHealth struct {
	// Active asks each member again and again; nil: it does not.
	Active *UpstreamActive `koanf:"active" yaml:"active"`
	// Passive looks at how messages end.
	Passive UpstreamPassive `koanf:"passive" yaml:"passive"`
}

// UpstreamActive is a check of each member: a GET with http, a connection with tcp
// and weft.
type UpstreamActive struct {
	// Path is what a GET is for, with http; 2xx is well.
	Path string `koanf:"path" yaml:"path" default:"/"`
	// Every is how often, Timeout how long it may take.
	Every   Duration `koanf:"every" yaml:"every" default:"5s" min:"10ms" max:"24h"`
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"2s" min:"1ms" max:"1h"`
	// Rise is how many good checks in a row make a member well, Fall how many bad ones
	// make it ill.
	Rise int `koanf:"rise" yaml:"rise" default:"2" min:"1" max:"1000"`
	Fall int `koanf:"fall" yaml:"fall" default:"3" min:"1" max:"1000"`
}

// UpstreamPassive takes a member out of the pool for a while when its messages fail
// one after the other.
type UpstreamPassive struct {
	// Failures is how many in a row; 0: it never does.
	Failures int `koanf:"failures" yaml:"failures" default:"5" min:"0" max:"1000000"`
	// Eject is how long it is out; each further time is longer by as much, up to
	// Longest.
	Eject   Duration `koanf:"eject" yaml:"eject" default:"10s" min:"10ms" max:"24h"`
	Longest Duration `koanf:"longest" yaml:"longest" default:"5m" min:"10ms" max:"24h"`
	// Most is the share of members that may be out at once, at least one of two.
	Most Percent `koanf:"most" yaml:"most" default:"50%" min:"1%" max:"100%"`
}

// UpstreamConnections bounds the connections to each member.
type UpstreamConnections struct {
	// Max is how many there may be: with http and with frames that have no sequence id
	// as many messages are under way at once.
	Max int `koanf:"max" yaml:"max" default:"8" min:"1" max:"10000"`
	// Pipeline is how many messages one connection may have under way, with frames that
	// have a sequence id.
	Pipeline int `koanf:"pipeline" yaml:"pipeline" default:"64" min:"1" max:"32768"`
	// Idle is for how long a connection without work is kept.
	Idle Duration `koanf:"idle" yaml:"idle" default:"90s" min:"10ms" max:"24h"`
	// Heartbeat is after how much silence a connection is probed, where the frame has
	// a heartbeat; without an answer within the same time it is closed. 0: never.
	Heartbeat Duration `koanf:"heartbeat" yaml:"heartbeat" default:"30s" min:"0s" max:"24h"`
}

// UpstreamHTTP is what a message is as an HTTP request. Its body is the payload.
type UpstreamHTTP struct {
	// Method is the request's; requests by GET have no body.
	Method string `koanf:"method" yaml:"method" default:"POST" enum:"POST,PUT,PATCH,DELETE,GET"`
	// Path is the template of the path, with a query if need be. {topic...} is the
	// message's topic.
	Path string `koanf:"path" yaml:"path" default:"/"`
	// Headers are set on every request, by name. ${env:NAME} and ${file:PATH} in their
	// values are secrets, as in a plugin's configuration.
	Headers map[string]string `koanf:"headers" yaml:"headers" secret:"true"`
	// Attributes are the names of those that go along as headers, each as
	// Weft-Attr-NAME, which the API of another weft takes as well.
	Attributes []string `koanf:"attributes" yaml:"attributes"`
	// ContentType is the header of that name, unless the message has an attribute
	// content_type.
	ContentType string `koanf:"content_type" yaml:"content_type" default:"application/octet-stream"`
	// Success are the codes that mean the message was taken, as in "200, 202-204" or
	// "2xx".
	Success string `koanf:"success" yaml:"success" default:"2xx"`
	// RetryAfter bounds for how long a member gets nothing whose answer says Retry-After,
	// with one of the codes of Retry; 0: that is not heeded.
	RetryAfter Duration `koanf:"retry_after" yaml:"retry_after" default:"30s" min:"0s" max:"24h"`
	// Retry are those that mean it was not, and may be later. Any other is final.
	Retry string `koanf:"retry" yaml:"retry" default:"408, 425, 429, 500, 502-504"`
}

// The values of Upstream.Protocol, Upstream.Balance, Upstream.RetryOn,
// Upstream.OnFailure and UpstreamDNS.Type.
const (
	UpstreamProtocolHTTP = "http"
	UpstreamProtocolTCP  = "tcp"
	UpstreamProtocolWeft = "weft"

	BalanceRoundRobin = "round_robin"
	BalanceRandom     = "random"
	BalanceLeast      = "least_connections"
	BalanceWeighted   = "weighted"
	BalanceHash       = "hash"

	RetryUnsent = "unsent"
	RetryAny    = "any"

	OnFailureDrop = "drop"

	DNSAddress = "a"
	DNSService = "srv"
)

// complete sets what follows from other keys.
func (u *Upstream) complete(folder string, agent *Consul) {
	if u.Protocol == UpstreamProtocolWeft && u.Frame == "" {
		u.Frame = "mcp-seq"
	}
	if u.Protocol == UpstreamProtocolHTTP && u.HTTP == nil {
		u.HTTP = defaultUpstreamHTTP()
	}
	u.TLS.complete(folder)
	if u.Consul != nil {
		u.Consul.inherit(agent, folder)
	}
}
