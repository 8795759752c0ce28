package server

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/codec"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/frame"
	"github.com/weftrun/weft/runtime/router"
)

// setup is what a configuration becomes: every template parsed, every frame
// compiled, every rule in its table. It is immutable; loops share it.
type setup struct {
	cfg *config.Config // what it was compiled from
	// listeners are those of the configuration, each at the index that it has in the
	// engine, and between them those that are gone: connections and messages of theirs
	// may still be there.
	listeners []*listener
	names     []string          // of them
	labels    [][]byte          // the names as records have them
	index     map[string]uint32 // of those that are not gone, and of the API
	table     *router.Table
	direct    bool                  // see router.Table.Direct
	timeout   time.Duration         // of requests
	dead      *delivery.DeadLetters // nil for none
	// converters are those of the configuration by name, routes the ones that routes
	// use, by index; routes is nil where none does. chains are those of entries in
	// chains.
	converters map[string]*codec.Converter
	formats    map[string]*frame.Format // the operator's own, by name
	routes     []*conversion
	chains     map[chainPlace]*conversion
}

// listener is one listener's part of a setup.
type listener struct {
	index    uint32
	gone     bool         // it accepts nobody any more
	ended    *atomic.Bool // its last connection has ended
	closed   *atomic.Bool // and nothing of it is left
	name     string
	protocol string        // what it speaks: the name of the frame format, say
	format   *frame.Format // nil where a speaker takes its place
	// nodeAttr is the attribute by which the frame itself names nodes.
	nodeAttr    string
	topic       *router.Template
	web         *web                           // nil without WebSocket
	speak       func(*path, *listener) speaker // makes the speaker; nil for frames
	mqtt        *mqttSetup                     // nil for any other protocol
	modbus      *modbusListener                // nil for any other protocol
	fixedTopic  []byte                         // the topic, if the template has no placeholder
	node        *router.Template
	subscribe   *[]*router.Template // nil: none
	acknowledge *router.Template
	convert     *conversion
	ttl         time.Duration // of what outlives the connections of clients of frames; 0: nothing does
	outbox      int           // bytes that may wait for one connection
	seqBits     int           // how wide sequence ids are that a speaker matches answers by; 0: it does not
	pauses      bool          // publishers wait for slow receivers
	beats       bool          // the format has heartbeats
	beatNode    string        // the node's number in weft's own
	identity    string        // which part of a client's certificate is its session's identity
}

// newSetup compiles a configuration whose listeners have the places in it as their
// indices. All faults are reported at once.
func newSetup(cfg *config.Config) (*setup, error) {
	indices := make([]int, len(cfg.Listeners))
	for i := range indices {
		indices[i] = i
	}
	return compileSetup(cfg, indices)
}

// compileSetup compiles a configuration; its listeners get these indices.
func compileSetup(cfg *config.Config, indices []int) (*setup, error) {
	s := &setup{cfg: cfg, timeout: cfg.Requests.Timeout.Std(), index: map[string]uint32{apiName: apiListener}}
	var faults []error
	if cfg.DeadLetter.Topic != "" {
		dead, err := delivery.NewDeadLetters(cfg.DeadLetter.Topic)
		s.dead = dead
		faults = append(faults, err)
	}
	formats, err := compileFrames(cfg)
	s.formats = formats
	faults = append(faults, err)
	s.converters, err = compileConverters(cfg)
	faults = append(faults, err)
	if err == nil {
		faults = append(faults, s.routeConversions(cfg), s.chainConversions(cfg))
	}
	for i := range cfg.Listeners {
		l, wrong := newListener(cfg, i, formats)
		if l != nil && err == nil { // of the converters
			var unknown error
			l.convert, unknown = s.conversion("listeners."+l.name, cfg.Listeners[i].Convert, cfg.Listeners[i].OnFailure)
			wrong = errors.Join(wrong, unknown)
		}
		faults = append(faults, wrong)
		if l != nil {
			l.index = uint32(indices[i])
			s.put(l)
		}
		s.index[cfg.Listeners[i].Name] = uint32(indices[i])
	}
	s.table, err = router.CompileFor(rules(cfg), targets(cfg.DefaultRoute), s.index)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s.direct = s.table.Direct()
	return s, nil
}

// put gives a listener its place.
func (s *setup) put(l *listener) {
	for len(s.listeners) <= int(l.index) {
		s.listeners, s.names, s.labels = append(s.listeners, nil), append(s.names, ""), append(s.labels, nil)
	}
	s.listeners[l.index], s.names[l.index], s.labels[l.index] = l, l.name, []byte(l.name)
}

// apiName stands for the API where messages name their listener, and apiListener is its
// number there: none that a listener ever has.
const (
	apiName     = "api"
	apiListener = math.MaxUint16
)

var apiLabel = []byte(apiName)

// nameOf is a listener's name, apiName where a message came by none.
func (s *setup) nameOf(index uint32) string {
	if int(index) < len(s.names) {
		return s.names[index]
	}
	return apiName
}

// labelOf is nameOf as records have it; nobody may change it.
func (s *setup) labelOf(index uint32) []byte {
	if int(index) < len(s.labels) {
		return s.labels[index]
	}
	return apiLabel
}

// indexOf is the number of the listener of that name; the API's if there is none.
func (s *setup) indexOf(name []byte) uint32 {
	if index, ok := s.index[string(name)]; ok {
		return index
	}
	return apiListener
}

// rule is the index of the route of that name; -1 if there is none.
func (s *setup) rule(name string) int {
	return slices.IndexFunc(s.cfg.Routes, func(r config.Route) bool { return r.Name == name })
}

// listening are the names of the listeners, in the configuration's order.
func (s *setup) listening() (names []string) {
	for i := range s.cfg.Listeners {
		names = append(names, s.cfg.Listeners[i].Name)
	}
	return names
}

// each yields the listeners that are not gone for good, by index.
func (s *setup) each(yield func(i int, l *listener) bool) {
	for i, l := range s.listeners {
		if !l.closed.Load() && !yield(i, l) {
			return
		}
	}
}

func compileFrames(cfg *config.Config) (map[string]*frame.Format, error) {
	formats := map[string]*frame.Format{}
	var faults []error
	for name, declared := range cfg.Frames {
		f, err := frame.Parse(name, declared.Doc)
		if err != nil {
			faults = append(faults, fmt.Errorf("frames.%s (%s): %w", name, cfg.Place("frames."+name), err))
			continue
		}
		formats[name] = f
	}
	return formats, errors.Join(faults...)
}

func newListener(cfg *config.Config, i int, formats map[string]*frame.Format) (*listener, error) {
	c := &cfg.Listeners[i]
	l := &listener{ended: new(atomic.Bool), closed: new(atomic.Bool), name: c.Name, outbox: int(c.Outbox.Size), pauses: c.Outbox.WhenFull == config.WhenFullPause}
	if c.TLS != nil {
		l.identity = c.TLS.Identity
	}
	if c.Frame != config.FrameMQTT && !c.IsModbus() {
		l.ttl = cfg.SessionTTL(c).Std()
	}
	make, err := speaking(cfg, i, l)
	if err != nil {
		return nil, err
	}
	if make != nil {
		l.protocol, l.speak = c.Frame, make
		if c.IsModbus() {
			if l.modbus, err = newModbusListener(cfg, c); err != nil {
				return nil, fmt.Errorf("listeners.%s: %w", c.Name, err)
			}
		}
		if c.Frame == config.FrameDatagram {
			l.seqBits = 32
		}
	} else if err := l.frames(cfg, c, formats); err != nil {
		return nil, err
	}
	if l.web, err = newWeb(c, l); err != nil {
		return nil, err
	}
	var faults []error
	parse := func(key, text string, parser func(string) (*router.Template, error)) *router.Template {
		if text == "" {
			return nil
		}
		t, err := parser(text)
		if err != nil {
			path := "listeners." + c.Name + "." + key
			faults = append(faults, fmt.Errorf("%s: %w (%s)", path, err, cfg.Place(path)))
		}
		return t
	}
	l.topic = parse("topic", c.Topic, router.TopicTemplate)
	l.node = parse("node", c.Node, router.TextTemplate)
	l.acknowledge = parse("acknowledge", c.Acknowledge, router.RawTemplate)
	if len(c.Subscribe) > 0 {
		l.subscribe = new([]*router.Template) // apart: a connection that waits for them does not keep the listener
	}
	for _, text := range c.Subscribe {
		*l.subscribe = append(*l.subscribe, parse("subscribe", text, router.PatternTemplate))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	l.fixTopic()
	return l, nil
}

// frames gives the listener its frame format.
func (l *listener) frames(cfg *config.Config, c *config.Listener, formats map[string]*frame.Format) error {
	f, ok := formats[c.Frame]
	if !ok {
		f, ok = frame.Preset(c.Frame)
	}
	if !ok {
		return fmt.Errorf("listeners.%s.frame: %q is neither a preset nor a key of frames (%s)", c.Name, c.Frame, cfg.Place("listeners."+c.Name+".frame"))
	}
	l.format = f.WithLimit(int(c.Limits.Frame))
	l.protocol, l.nodeAttr = l.format.Name(), l.format.NodeAttr()
	var beat []byte
	if beat, l.beats = l.format.Heartbeat(); l.beats && l.nodeAttr != "" {
		var m abi.Message
		if _, _, err := l.format.Decode(beat, nil, &m); err != nil {
			return fmt.Errorf("listeners.%s.frame: its heartbeat cannot be read: %w", c.Name, err)
		}
		number, _ := m.Attrs.Get(l.nodeAttr)
		l.beatNode = string(number)
	}
	return nil
}

// speaking is what makes the speaker of a listener's protocol, compiled from its
// configuration; nil if it is a frame format.
func speaking(cfg *config.Config, i int, l *listener) (func(*path, *listener) speaker, error) {
	switch cfg.Listeners[i].Frame {
	case config.FrameMQTT:
		var err error
		l.mqtt, err = newMQTT(cfg, i)
		return newMQTTSpeaker, err
	case frame.ModbusTCP, frame.ModbusRTU:
		return newModbusSpeaker, nil
	case config.FrameDatagram:
		return newDgram(cfg, i)
	}
	return nil, nil
}

// fixTopic makes the topic once where no message has a say in it: all its
// placeholders are the listener's name.
func (l *listener) fixTopic() {
	for _, name := range l.topic.Names() {
		if name != "listener" {
			return
		}
	}
	topic, err := l.topic.Append(nil, fixedValue(l.name))
	if err == nil {
		l.fixedTopic = topic
	}
}

// fixedValue answers every placeholder with one text.
type fixedValue string

func (v fixedValue) Value(string) ([]byte, bool) { return []byte(v), true }

func rules(cfg *config.Config) []router.Rule {
	list := make([]router.Rule, 0, len(cfg.Routes))
	for _, r := range cfg.Routes {
		list = append(list, router.Rule{
			Name: r.Name,
			When: router.When{
				Topic: r.When.Topic, Attributes: r.When.Attributes, Match: r.When.Match,
				Priority: priorities(r.When.Priority), Listener: r.When.Listener, Type: r.When.Type,
			},
			Hash: r.Hash,
		})
		rule := &list[len(list)-1]
		if r.QoS > 0 {
			qos := uint8(r.QoS)
			rule.QoS = &qos
		}
		for _, t := range r.To {
			rule.To = append(rule.To, router.Target{To: t.To, Weight: uint32(t.Weight)})
		}
	}
	return list
}

// priorities spells a range as the router reads it.
func priorities(p *config.Priorities) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%d-%d", p.Min, p.Max)
}

func targets(texts []string) []router.Target {
	list := make([]router.Target, 0, len(texts))
	for _, text := range texts {
		list = append(list, router.Target{To: text})
	}
	return list
}

// engineListeners tells the engine what it must know of each listener.
func engineListeners(cfg *config.Config) ([]engine.Listener, error) {
	list := make([]engine.Listener, 0, len(cfg.Listeners))
	for i := range cfg.Listeners {
		c := &cfg.Listeners[i]
		policy, err := engine.ParsePolicy(c.Outbox.WhenFull)
		if err != nil {
			return nil, fmt.Errorf("listeners.%s.outbox.when_full: %w", c.Name, err)
		}
		list = append(list, engine.Listener{
			Name: c.Name, Address: c.Address, Network: network(c),
			MaxConnections: c.Limits.Connections, MaxPerSource: c.Limits.PerSource, MaxUnit: int(c.Limits.Frame),
			ReadDeadline: c.Deadlines.Read.Std(), WriteDeadline: c.Deadlines.Write.Std(),
			HeartbeatEvery: orNever(c.Heartbeat.Every.Std()), CloseAfter: orNever(c.Heartbeat.CloseAfter.Std()),
			Outbox:            engine.Outbox{Limit: int(c.Outbox.Size), WhenFull: policy},
			HandshakeDeadline: c.Deadlines.Handshake.Std(), MaxHandshakes: c.Limits.Handshakes,
			Links: cfg.Kernel != nil, Steer: cfg.Kernel != nil && cfg.Kernel.Steer,
		})
		if w := c.WebSocket; w != nil {
			l := &list[len(list)-1]
			l.MaxUnit, l.HeartbeatEvery = webUnit(l.MaxUnit), orNever(w.Ping.Std())
		}
	}
	return list, nil
}

// network is what the listener's protocol goes over.
func network(c *config.Listener) string {
	if c.Frame == config.FrameDatagram {
		return "udp"
	}
	return "tcp"
}

// orNever is how the engine spells a duration of 0 of the configuration.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
