package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// defaultUpstreamHTTP is what a pool with http has that says nothing of it.
func defaultUpstreamHTTP() *UpstreamHTTP {
	h := &UpstreamHTTP{}
	d := &decoder{}
	d.structure(reflect.ValueOf(h).Elem(), nil, "")
	return h
}

// Codes are ranges of HTTP status codes.
type Codes [][2]int

// Has tells whether the code is one of them.
func (c Codes) Has(code int) bool {
	for _, r := range c {
		if code >= r[0] && code <= r[1] {
			return true
		}
	}
	return false
}

// ErrCodes is wrapped by every error about a text of status codes.
var ErrCodes = errors.New("not status codes")

// ParseCodes reads status codes as they stand in a file: "2xx", "200, 202-204".
func ParseCodes(text string) (Codes, error) {
	var codes Codes
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if hundred, ok := strings.CutSuffix(low, "xx"); ok && !isRange {
			low, high, isRange = hundred+"00", hundred+"99", true
		}
		if !isRange {
			high = low
		}
		from, errFrom := strconv.Atoi(low)
		to, errTo := strconv.Atoi(high)
		if errFrom != nil || errTo != nil || from < 100 || to > 599 || from > to {
			return nil, fmt.Errorf("%w: %.40q", ErrCodes, strings.TrimSpace(part))
		}
		codes = append(codes, [2]int{from, to})
	}
	return codes, nil
}

// upstreams checks the pools.
func (k *checker) upstreams() {
	for _, name := range sortedKeys(k.c.Upstreams) {
		u := k.c.Upstreams[name]
		path := join("upstreams", name)
		k.name(path, name)
		if k.c.isDevice(name) {
			k.add(path, Problem{Cause: "name given twice", Value: show(name), Found: "one of modbus.devices has it as well", Fix: "choose another name: both are called upstream:" + name})
		}
		k.upstreamProtocol(path, &u)
		k.upstreamMembers(path, &u)
		k.upstreamTries(path, &u)
		k.clientTLS(join(path, "tls"), u.TLS)
	}
}

func (k *checker) upstreamProtocol(path string, u *Upstream) {
	http := u.Protocol == UpstreamProtocolHTTP
	switch {
	case http && u.Frame != "":
		k.add(join(path, "frame"), Problem{Cause: "has no effect", Value: show(u.Frame), Expected: "protocol: tcp", Fix: "remove it: a request's body is the payload"})
	case u.Protocol == UpstreamProtocolTCP && u.Frame == "":
		k.add(join(path, "frame"), Problem{Cause: "missing value", Expected: "the name of a preset or a key of frames", Fix: "write length32 for a length and the payload, mcp-seq to match answers to requests"})
	case u.Frame == FrameMQTT || u.Frame == FrameDatagram || u.Frame == FrameModbusTCP || u.Frame == FrameModbusRTU:
		p := Problem{Cause: "not a frame for a pool", Value: show(u.Frame), Expected: "a declared frame: mcp-seq, length32, line, or a key of frames"}
		if strings.HasPrefix(u.Frame, "modbus") {
			p.Fix = "declare the server in modbus.devices: routes name it as upstream:NAME too"
		}
		k.add(join(path, "frame"), p)
	case !http && u.Frame != "" && k.c.origin != nil && k.c.origin.options.Presets != nil:
		known := slices.Concat(k.c.origin.options.Presets, sortedKeys(k.c.Frames))
		known = slices.DeleteFunc(known, func(name string) bool { return strings.HasPrefix(name, "modbus-") })
		k.oneOf(join(path, "frame"), u.Frame, known, "unknown frame", "a preset or a key of frames")
	}
	if http && u.Confirm {
		k.add(join(path, "confirm"), Problem{Cause: "has no effect", Value: "true", Found: "protocol: http", Fix: "remove it: every request is answered"})
	}
	if u.HTTP == nil {
		return
	}
	if !http {
		k.add(join(path, "http"), Problem{Cause: "has no effect", Found: "protocol: " + u.Protocol, Expected: "protocol: http"})
		return
	}
	k.upstreamHTTP(join(path, "http"), u.HTTP)
}

// httpOwn are headers that say how a request goes, and not what is in it.
var httpOwn = []string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive", "proxy-connection"}

func (k *checker) upstreamHTTP(path string, h *UpstreamHTTP) {
	if place := join(path, "path"); !strings.HasPrefix(h.Path, "/") {
		k.add(place, Problem{Cause: "not a path", Value: show(h.Path), Expected: "one that begins with '/'", Fix: "the host is the member's: write /" + strings.TrimLeft(h.Path, "/")})
	} else if strings.ContainsAny(h.Path, "# \r\n") {
		k.add(place, Problem{Cause: "not a path", Value: show(h.Path), Expected: "no blank and no '#'"})
	} else {
		k.template(place, h.Path)
	}
	for _, name := range sortedKeys(h.Headers) {
		k.upstreamHeader(join(path, "headers."+name), name, h.Headers[name])
	}
	for i, name := range h.Attributes {
		k.upstreamHeader(join(path, fmt.Sprintf("attributes.%d", i)), name, "")
	}
	if _, err := ParseCodes(h.Success); err != nil {
		k.add(join(path, "success"), Problem{Cause: "not status codes", Value: show(h.Success), Expected: `codes from 100 to 599, such as "2xx" or "200, 202-204"`})
	}
	if _, err := ParseCodes(h.Retry); err != nil && h.Retry != "" {
		k.add(join(path, "retry"), Problem{Cause: "not status codes", Value: show(h.Retry), Expected: `codes from 100 to 599, such as "429, 5xx", or "" for none`})
	}
}

func (k *checker) upstreamHeader(path, name, value string) {
	token := name != "" && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	}) < 0
	switch {
	case !token:
		k.add(path, Problem{Cause: "not a header's name", Value: show(name), Expected: "letters, digits and '-'"})
	case slices.Contains(httpOwn, strings.ToLower(name)):
		k.add(path, Problem{Cause: "not a header to set", Value: show(name), Fix: "remove it: weft sets it as the request needs it"})
	case strings.ContainsAny(value, "\r\n\x00"):
		k.add(path, Problem{Cause: "not a header's value", Expected: "one line"})
	}
}

func (k *checker) upstreamMembers(path string, u *Upstream) {
	if len(u.Members) == 0 && u.DNS == nil && u.Consul == nil {
		k.add(join(path, "members"), Problem{Cause: "missing value", Expected: "members, dns or consul: where the pool's servers are", Fix: `write members: ["10.0.0.1:8080"]`})
	}
	first := map[string]bool{}
	for i, m := range u.Members {
		place := join(path, fmt.Sprintf("members.%d", i))
		k.endpoint(place, m.Address)
		if first[m.Address] && m.Address != "" {
			k.add(place, Problem{Cause: "address given twice", Value: show(m.Address), Fix: "remove one, and give the other a weight if it shall have more"})
		}
		first[m.Address] = true
		if m.Weight != 1 && u.Balance != BalanceWeighted && u.Balance != BalanceHash {
			k.add(join(place, "weight"), Problem{Cause: "has no effect", Value: strconv.Itoa(m.Weight), Found: "balance: " + u.Balance, Expected: "balance: weighted or hash"})
		}
	}
	if u.DNS != nil && u.Consul != nil {
		k.add(join(path, "consul"), Problem{Cause: "contradiction", Found: "dns as well", Fix: "remove one of them: a pool's members are found in one place"})
	}
	if d := u.DNS; d != nil {
		switch {
		case d.Type == DNSAddress && d.Port == 0:
			k.add(join(path, "dns.port"), Problem{Cause: "missing value", Expected: "the members' port: addresses in DNS have none", Fix: "give it, or ask for records with ports by type: srv"})
		case d.Type == DNSService && d.Port != 0:
			k.add(join(path, "dns.port"), Problem{Cause: "has no effect", Value: strconv.Itoa(d.Port), Expected: "type: a", Fix: "remove it: the records of type srv say the port"})
		}
	}
	if u.Consul != nil {
		k.upstreamConsul(join(path, "consul"), u.Consul)
	}
}

// endpoint checks a host and a port that weft connects to.
func (k *checker) endpoint(path, text string) {
	host, port, err := net.SplitHostPort(text)
	number, errPort := strconv.ParseUint(port, 10, 16)
	if text == "" || err == nil && errPort == nil && host != "" && number > 0 {
		return
	}
	p := Problem{Cause: "not an address", Value: show(text), Expected: "a host and a port, such as 10.0.0.1:8080"}
	if at, err := url.Parse(text); err == nil && at.Host != "" {
		p.Fix = "write " + at.Host + ": the protocol is the pool's, the path http.path"
	}
	k.add(path, p)
}

func (k *checker) upstreamTries(path string, u *Upstream) {
	switch {
	case u.Balance == BalanceHash && u.Key == "":
		k.add(join(path, "key"), Problem{Cause: "missing value", Expected: "what balance: hash goes by, such as {identity}"})
	case u.Balance != BalanceHash && u.Key != "":
		k.add(join(path, "key"), Problem{Cause: "has no effect", Value: show(u.Key), Found: "balance: " + u.Balance, Expected: "balance: hash"})
	default:
		k.template(join(path, "key"), u.Key)
	}
	if u.Backoff.First > u.Backoff.Most {
		k.add(join(path, "backoff.first"), Problem{Cause: "out of range", Value: u.Backoff.First.String(), Expected: "at most backoff.most, which is " + u.Backoff.Most.String()})
	}
	if u.ConnectTimeout > u.Timeout {
		k.add(join(path, "connect_timeout"), Problem{Cause: "out of range", Value: u.ConnectTimeout.String(), Expected: "at most timeout, which is " + u.Timeout.String()})
	}
	if p := u.Health.Passive; p.Eject > p.Longest {
		k.add(join(path, "health.passive.eject"), Problem{Cause: "out of range", Value: p.Eject.String(), Expected: "at most longest, which is " + p.Longest.String()})
	}
	if u.Hedge > 0 {
		switch {
		case u.Hedge >= u.Timeout:
			k.add(join(path, "hedge"), Problem{Cause: "has no effect", Value: u.Hedge.String(), Expected: "less than timeout, which is " + u.Timeout.String()})
		case u.RetryOn != RetryAny:
			k.add(join(path, "hedge"), Problem{Cause: "contradiction", Value: u.Hedge.String(), Found: "retry_on: " + u.RetryOn, Expected: "members that bear a message twice", Fix: "write retry_on: any if they do, else remove hedge"})
		}
	}
	if a := u.Health.Active; a != nil {
		place := join(path, "health.active")
		if a.Timeout > a.Every {
			k.add(join(place, "timeout"), Problem{Cause: "out of range", Value: a.Timeout.String(), Expected: "at most every, which is " + a.Every.String()})
		}
		switch {
		case u.Protocol == UpstreamProtocolHTTP && !strings.HasPrefix(a.Path, "/"):
			k.add(join(place, "path"), Problem{Cause: "not a path", Value: show(a.Path), Expected: "one that begins with '/'"})
		case u.Protocol != UpstreamProtocolHTTP && a.Path != "/":
			k.add(join(place, "path"), Problem{Cause: "has no effect", Value: show(a.Path), Found: "protocol: " + u.Protocol, Expected: "protocol: http", Fix: "remove it: a connection is made, and closed"})
		}
	}
}
