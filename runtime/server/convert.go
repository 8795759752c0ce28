package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
)

// conversion is the use of a converter by a listener or route.
type conversion struct {
	converter *codec.Converter
	onFailure string // config.OnFailureClosed, Open or Quarantine
	done      atomic.Uint64
	failed    atomic.Uint64
}

// compileConverters makes the configuration's converters; all faults at once.
func compileConverters(cfg *config.Config) (map[string]*codec.Converter, error) {
	list := make(map[string]*codec.Converter, len(cfg.Converters))
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(cfg.Converters)) {
		c, err := compileConverter(name, cfg.Converters[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("converters.%s (%s): %w", name, cfg.Place("converters."+name), err))
			continue
		}
		list[name] = c
	}
	return list, errors.Join(faults...)
}

func compileConverter(name string, c config.Converter) (*codec.Converter, error) {
	s := codec.Spec{Name: name, Descriptor: c.Set, Message: c.Message, Limits: codec.Limits{Size: int(c.Limits.Size), Depth: c.Limits.Depth, Values: c.Limits.Values}}
	var err error
	if s.From, err = codec.Parse(c.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if s.To, err = codec.Parse(c.To); err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	return codec.Compile(s)
}

// conversion is the use of the converter of that name; nil for none.
func (s *setup) conversion(key, name, onFailure string) (*conversion, error) {
	if name == "" {
		return nil, nil
	}
	c, ok := s.converters[name]
	if !ok {
		return nil, fmt.Errorf("%s.convert: %q is no key of converters", key, name)
	}
	return &conversion{converter: c, onFailure: onFailure}, nil
}

// routeConversions are those of the routes, by index; nil where none converts.
func (s *setup) routeConversions(cfg *config.Config) error {
	var faults []error
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		c, err := s.conversion("routes."+r.Name, r.Convert, r.OnFailure)
		faults = append(faults, err)
		if c != nil && s.routes == nil {
			s.routes = make([]*conversion, len(cfg.Routes))
		}
		if c != nil {
			s.routes[i] = c
		}
	}
	return errors.Join(faults...)
}

// chainPlace is an entry of a chain.
type chainPlace struct {
	chain chainKey
	entry int
}

// chainKey names a chain for people, too: "listener trucks" or "route alarms".
type chainKey string

func listenerChain(name string) chainKey { return chainKey("listener " + name) }
func routeChain(name string) chainKey    { return chainKey("route " + name) }

// chainConversions are those of entries in chains. The plugin's policy is theirs.
func (s *setup) chainConversions(cfg *config.Config) error {
	s.chains = map[chainPlace]*conversion{}
	var faults []error
	add := func(chain chainKey, key string, entries []config.ChainEntry) {
		for i, entry := range entries {
			c, err := s.conversion(fmt.Sprintf("%s.chain.%d", key, i), entry.Convert, "")
			faults = append(faults, err)
			if c != nil {
				s.chains[chainPlace{chain, i}] = c
			}
		}
	}
	for i := range cfg.Listeners {
		add(listenerChain(cfg.Listeners[i].Name), "listeners."+cfg.Listeners[i].Name, cfg.Listeners[i].Chain)
	}
	for i := range cfg.Routes {
		add(routeChain(cfg.Routes[i].Name), "routes."+cfg.Routes[i].Name, cfg.Routes[i].Chain)
	}
	return errors.Join(faults...)
}

// convertIn has the chain convert payloads where its entries say so.
func (p *path) convertIn(chain *plugins.Chain, key chainKey) {
	for i, at := range chain.Staying() {
		if c := p.setup.chains[chainPlace{key, i}]; c != nil {
			chain.Convert(at, func(m *abi.Message) error { return p.converted(c, m) })
		} else {
			chain.Convert(at, nil)
		}
	}
}

const (
	// attrContentType is the attribute that has the payload's media type.
	attrContentType = "content_type"
	// causeConversion is the cause of a dead letter that could not be converted.
	causeConversion = "conversion"
)

// translate converts the payload of a message that has come in, before its
// listener's chain; false if the message has ended by that.
func (p *path) translate(m *abi.Message) bool {
	c := p.setup.listeners[m.Listener].convert
	if c == nil {
		return true
	}
	done, goesOn := p.convert(c, m)
	if done {
		m.FrameStale = true // the frame has the payload as it was
	}
	return goesOn
}

// translateFor converts the payload of a message for the destinations of a route;
// false if the message has ended by that.
func (p *path) translateFor(rule int, m *abi.Message) bool {
	if p.setup.routes == nil || rule < 0 || p.setup.routes[rule] == nil {
		return true
	}
	done, goesOn := p.convert(p.setup.routes[rule], m)
	if done {
		p.encoded.changed(abi.ChangedPayload | abi.ChangedAttrs)
	}
	return goesOn
}

// convert converts the message's payload and says what it is by now, in bytes that
// belong to the turn. Where that fails, the policy decides whether the message goes
// on as it is.
func (p *path) convert(c *conversion, m *abi.Message) (done, goesOn bool) {
	if err := p.converted(c, m); err != nil {
		return false, p.unconverted(c, m, err)
	}
	return true, true
}

// converted is convert without a policy.
func (p *path) converted(c *conversion, m *abi.Message) error {
	start := len(p.scratch)
	grown, err := c.converter.Append(p.scratch, m.Payload)
	p.scratch = grown
	if err != nil {
		c.failed.Add(1)
		return err
	}
	c.done.Add(1)
	p.changes(m)
	m.Payload = grown[start:len(grown):len(grown)]
	p.describe(m, c.converter.MediaType())
	return nil
}

// describe sets the message's content type, in place of one that it has.
func (p *path) describe(m *abi.Message, mediaType string) {
	start := len(p.scratch)
	block := abi.Attributes(p.scratch).AppendString(attrContentType, mediaType)
	for name, value := range m.Attrs.All() {
		if string(name) != attrContentType {
			block = block.Append(string(name), value)
		}
	}
	p.scratch = block
	if len(block)-start <= abi.MaxAttrs {
		m.Attrs = block[start:len(block):len(block)]
	}
}

// unconverted carries out the policy about a message that cannot be converted; true
// if it goes on.
func (p *path) unconverted(c *conversion, m *abi.Message, err error) bool {
	if p.server.debugging() {
		p.server.log.DebugContext(p.logContext(m), "a payload could not be converted", "listener", p.setup.nameOf(m.Listener), "session", m.Session,
			"topic", string(m.Topic), "policy", c.onFailure, "error", err)
	}
	switch c.onFailure {
	case config.OnFailureOpen:
		return true
	case config.OnFailureQuarantine:
		p.letter = delivery.Letter{Reason: err.Error(), Cause: causeConversion, Listener: p.setup.nameOf(m.Listener)}
		p.settled(m, p.toDeadLetter(m))
	default:
		p.drop(m, delivery.Conversion)
	}
	return false
}

// conversionMetrics is what listeners and routes have converted.
func (s *Server) conversionMetrics() []admin.Metric {
	done := newFamily("weft_conversions_total", "Payloads converted, by converter and by the listener, route or entry of a chain that asked.", admin.Counter, "converter", "place", "name")
	failed := newFamily("weft_conversions_failed_total", "Payloads that could not be converted, by the same.", admin.Counter, "converter", "place", "name")
	add := func(c *conversion, place, name string) {
		if c != nil {
			done.add(c.done.Load(), c.converter.Name(), place, name)
			failed.add(c.failed.Load(), c.converter.Name(), place, name)
		}
	}
	now := s.setup()
	for _, l := range now.each {
		add(l.convert, "listener", l.name)
	}
	for i, c := range now.routes {
		add(c, "route", now.cfg.Routes[i].Name)
	}
	for _, l := range now.cfg.Listeners {
		for k := range l.Chain {
			add(now.chains[chainPlace{listenerChain(l.Name), k}], "chain", fmt.Sprintf("%s.chain.%d", l.Name, k))
		}
	}
	for _, r := range now.cfg.Routes {
		for k := range r.Chain {
			add(now.chains[chainPlace{routeChain(r.Name), k}], "chain", fmt.Sprintf("%s.chain.%d", r.Name, k))
		}
	}
	return []admin.Metric{done.Metric, failed.Metric}
}
