package config

import (
	"net/url"
	"strings"
)

// What a trace context that a message brings is worth.
const (
	// ParentTrust traces what its sender traces, and nothing else of what has a context.
	ParentTrust = "trust"
	// ParentIgnore lets chance decide about every message; its context is gone on with
	// all the same.
	ParentIgnore = "ignore"
)

// Tracing exports by OpenTelemetry's protocol (OTLP) what happens to some messages: a
// span each, with a child for each plugin.
type Tracing struct {
	// Endpoint is the URL of what takes the spans, such as http://127.0.0.1:4318. Empty:
	// nothing is traced.
	Endpoint string `koanf:"endpoint" yaml:"endpoint"`
	// Protocol is what it speaks: http is protobuf over HTTP, usually on port 4318, grpc
	// usually on port 4317.
	Protocol string `koanf:"protocol" yaml:"protocol" default:"http" enum:"http,grpc"`
	// Headers go with each request. What they hold is secret.
	Headers map[string]string `koanf:"headers" yaml:"headers" secret:"all"`
	// TLS is how weft and the endpoint trust each other; nil: as the system does.
	TLS *ClientTLS `koanf:"tls" yaml:"tls"`
	// Sample is which part of the messages that come without a trace context begins a
	// trace here.
	Sample Percent `koanf:"sample" yaml:"sample" default:"1%" min:"0%" max:"100%"`
	// Parent is what the trace context is worth that a message brings: trust traces it if
	// its sender does and not otherwise, ignore leaves that to Sample.
	Parent string `koanf:"parent" yaml:"parent" default:"trust" enum:"trust,ignore"`
	// Rate is how many messages each event loop traces at most, whoever wants it.
	Rate Rate `koanf:"rate" yaml:"rate" default:"1000/s" min:"1/h" max:"1000000/s"`
	// Queue is how many spans may wait for the endpoint; further ones are dropped and
	// counted.
	Queue int `koanf:"queue" yaml:"queue" default:"8192" min:"64" max:"1000000"`
	// Delay is how long spans wait for others to go with.
	Delay Duration `koanf:"delay" yaml:"delay" default:"1s" min:"10ms" max:"1m"`
	// Timeout bounds one request.
	Timeout Duration `koanf:"timeout" yaml:"timeout" default:"10s" min:"100ms" max:"5m"`
	// Service is the name under which the spans appear.
	Service string `koanf:"service" yaml:"service" default:"weft"`
	// Attributes are further ones of OpenTelemetry's resource, such as
	// deployment.environment.
	Attributes map[string]string `koanf:"attributes" yaml:"attributes"`
}

// tracing checks where spans go.
func (k *checker) tracing() {
	t := &k.c.Tracing
	if t.Endpoint == "" {
		return
	}
	at, err := url.Parse(t.Endpoint)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		k.add("tracing.endpoint", Problem{Cause: "not an address", Value: show(redacted(t.Endpoint)), Expected: "a URL, such as http://127.0.0.1:4318"})
	case at.User != nil:
		k.add("tracing.endpoint", Problem{Cause: "a password in an address", Value: show(redacted(t.Endpoint)), Fix: "write it as a header: tracing.headers.authorization"})
	case at.Scheme == "http" && t.TLS != nil:
		k.add("tracing.tls", Problem{Cause: "contradiction", Found: "tracing.endpoint: " + t.Endpoint, Fix: "write https://" + at.Host + ", or remove tls"})
	case t.Protocol == "grpc" && strings.Trim(at.Path, "/") != "":
		k.add("tracing.endpoint", Problem{Cause: "a path, which gRPC has no use for", Value: show(t.Endpoint), Expected: at.Scheme + "://" + at.Host, Fix: "remove it, or write protocol: http"})
	}
	for _, name := range sortedKeys(t.Headers) {
		k.upstreamHeader(join("tracing.headers", name), name, t.Headers[name])
	}
	if t.TLS != nil {
		k.clientTLS("tracing.tls", t.TLS)
	}
}
