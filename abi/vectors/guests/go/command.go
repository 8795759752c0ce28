package main

import (
	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/clock"
	"github.com/weftrun/weft/abi/sdk/tinygo/filter"
	"github.com/weftrun/weft/abi/sdk/tinygo/http"
	"github.com/weftrun/weft/abi/sdk/tinygo/json"
	"github.com/weftrun/weft/abi/sdk/tinygo/kv"
	"github.com/weftrun/weft/abi/sdk/tinygo/log"
	"github.com/weftrun/weft/abi/sdk/tinygo/metrics"
	"github.com/weftrun/weft/abi/sdk/tinygo/random"
)

// run is one message's commands being carried out.
type run struct {
	guest   *conformance
	m       *weft.Message
	hook    string
	report  report
	verdict weft.Verdict
	decided bool
}

// run carries out the commands of the configuration, of the attribute do, or of
// the payload. decides: the hook may answer with other verdicts than continue.
func (c *conformance) run(hook string, m *weft.Message, decides bool) weft.Verdict {
	commands := c.given(hook, m)
	r := &run{guest: c, m: m, hook: hook}
	for line, more := "", true; more; {
		line, commands, more = cut(commands, '\n')
		w := words{line}
		if verb := w.next(); verb != "" {
			r.one(verb, &w)
		}
	}
	if len(r.report) > 0 {
		if decides && !r.decided {
			return weft.Reply(r.report)
		}
		m.Emit(weft.Emit{Topic: "report", Payload: r.report})
	}
	if !decides {
		return weft.Continue()
	}
	return r.verdict
}

// given is where the commands come from.
func (c *conformance) given(hook string, m *weft.Message) string {
	for _, from := range c.commands {
		if from.hook == hook {
			return from.commands
		}
	}
	if do, ok := m.Attribute("do"); ok {
		return string(do)
	}
	return string(m.Payload())
}

func (r *run) one(verb string, w *words) {
	if !r.decide(verb, w) && !change(r.m, verb, w) && !effect(r.m, verb, w) && !r.read(verb, w) && !r.host(verb, w) && !r.kv(verb, w) && !r.http(verb, w) && !r.filter(verb, w) {
		r.report.line("unknown").value([]byte(verb)).end()
	}
}

func (r *run) decide(verb string, w *words) bool {
	v := weft.Continue()
	switch verb {
	case "trap":
		panic("a command said so")
	case "continue":
	case "drop":
		v = weft.Drop(w.name())
	case "close":
		v = weft.Close(w.name())
	case "reply":
		v = weft.Reply(w.bytes())
	case "route":
		var destinations []string
		for d := w.next(); d != ""; d = w.next() {
			destinations = append(destinations, d)
		}
		v = weft.Route(destinations...)
	case "pause":
		v = weft.Pause(w.number())
	case "await":
		v = weft.Pause(r.guest.sent)
	default:
		return false
	}
	r.verdict, r.decided = v, true
	return true
}

func change(m *weft.Message, verb string, w *words) bool {
	switch verb {
	case "topic":
		m.SetTopic(w.name())
	case "payload":
		m.SetPayload(w.bytes())
	case "set":
		m.SetAttribute(w.name(), w.bytes())
	case "unset":
		m.RemoveAttribute(w.name())
	case "clear":
		m.ClearAttributes()
	case "remember":
		m.SetContext(w.name(), w.bytes())
	case "forget":
		m.RemoveContext(w.name())
	case "seq":
		m.SetSeq(w.number())
	case "type":
		m.SetType(weft.Type(w.number()))
	case "priority":
		m.SetPriority(uint8(w.number()))
	case "qos":
		m.SetQoS(uint8(w.number()))
	default:
		return false
	}
	return true
}

func effect(m *weft.Message, verb string, w *words) bool {
	switch verb {
	case "emit":
		emit(m, w)
	case "emits":
		n, topic := w.number(), w.name()
		for i := range n {
			m.Emit(weft.Emit{Topic: topic, Payload: decimal(i)})
		}
	case "subscribe":
		m.Subscribe(w.name(), uint8(w.number()))
	case "unsubscribe":
		m.Unsubscribe(w.name())
	default:
		return false
	}
	return true
}

func emit(m *weft.Message, w *words) {
	e := weft.Emit{Topic: w.name(), Payload: w.bytes()}
	for option := w.next(); option != ""; option = w.next() {
		key, value, _ := cut(option, '=')
		switch key {
		case "type":
			e.Type = weft.Type(unsigned(value))
		case "priority":
			e.Priority = uint8(unsigned(value))
		case "qos":
			e.QoS = uint8(unsigned(value))
		case "seq":
			e.Seq = unsigned(value)
		case "retain":
			e.Retain = true
		default:
			e.Attributes = append(e.Attributes, weft.Attribute{Name: key[1:], Value: read(value)})
		}
	}
	m.Emit(e)
}

func (r *run) read(verb string, w *words) bool {
	to := &r.report
	switch verb {
	case "echo":
		to.echo(r.hook, r.m)
	case "attribute":
		name := w.name()
		to.line(verb).value([]byte(name)).found(r.m.Attribute(name)).end()
	case "context":
		name := w.name()
		to.line(verb).value([]byte(name)).found(r.m.Context(name)).end()
	case "digest":
		field, d := w.next(), newDigest()
		switch field {
		case "topic":
			d.add([]byte(r.m.Topic()))
		case "payload":
			d.add(r.m.Payload())
		default:
			r.m.Attributes().All(func(name string, value []byte) bool {
				d.add([]byte(name))
				d.add(value)
				return true
			})
		}
		to.line(verb).word(field).digest(d).end()
	case "count":
		r.guest.count++
		to.line(verb).number(r.guest.count).end()
	default:
		return false
	}
	return true
}

func (r *run) host(verb string, w *words) bool {
	switch verb {
	case "log":
		level := log.LevelError
		switch w.next() {
		case "debug":
			level = log.LevelDebug
		case "info":
			level = log.LevelInfo
		case "warn":
			level = log.LevelWarn
		}
		log.Write(level, w.name())
	case "counter":
		name := w.name()
		c, err := metrics.NewCounter(name)
		if r.had(verb, name, err) {
			c.Add(w.number())
		}
	case "gauge":
		name := w.name()
		g, err := metrics.NewGauge(name)
		if r.had(verb, name, err) {
			g.Set(w.fraction())
		}
	case "histogram":
		name := w.name()
		h, err := metrics.NewHistogram(name)
		if r.had(verb, name, err) {
			h.Observe(w.fraction())
		}
	case "wall":
		r.report.line(verb).signed(clock.Wall()).end()
	case "monotonic":
		r.report.line(verb).signed(clock.Monotonic()).end()
	case "random":
		r.random(w.number())
	default:
		return false
	}
	return true
}

// had adds the line of a metric that cannot be had.
func (r *run) had(verb, name string, err error) bool {
	if err != nil {
		r.report.line(verb).value([]byte(name)).failed(err).end()
	}
	return err == nil
}

func (r *run) random(n uint64) {
	a, b := make([]byte, n), make([]byte, n)
	err := random.Fill(a)
	if err == nil {
		err = random.Fill(b)
	}
	to := r.report.line("random").number(n)
	switch {
	case err != nil:
		to.failed(err)
	case string(a) == string(b):
		to.word("same")
	default:
		to.word("different")
	}
	to.end()
}

func (r *run) kv(verb string, w *words) bool {
	if len(verb) < 3 || verb[:3] != "kv-" {
		return false
	}
	key, at := w.name(), len(r.report)
	to := r.report.line(verb).value([]byte(key))
	switch verb {
	case "kv-get":
		value, ok, err := kv.Get(key)
		to.unless(err, func() { to.found(value, ok) })
	case "kv-digest":
		value, ok, err := kv.Get(key)
		d := newDigest()
		d.add(value)
		to.orNone(ok, err, func() { to.digest(d) })
	case "kv-set":
		value := w.bytes()
		err := kv.Set(key, value, kv.TTL(w.number()))
		to.unless(err, func() { to.word("ok") })
	case "kv-cas":
		revision, value := w.number(), w.bytes()
		n, err := kv.CompareAndSet(key, revision, value, kv.TTL(w.number()))
		to.unless(err, func() { to.number(n) })
	case "kv-revision":
		n, ok, err := kv.Revision(key)
		to.orNone(ok, err, func() { to.number(n) })
	case "kv-delete":
		ok, err := kv.Delete(key)
		to.orNone(ok, err, func() { to.word("ok") })
	case "kv-add":
		delta := signed(w.next())
		sum, err := kv.Add(key, delta, kv.TTL(w.number()))
		to.unless(err, func() { to.signed(sum) })
	default:
		r.report = r.report[:at]
		return false
	}
	to.end()
	return true
}

func (r *run) http(verb string, w *words) bool {
	to := &r.report
	switch verb {
	case "http":
		q := http.Request{Method: w.name(), URL: w.name(), Body: w.bytes(), Deadline: int64(w.number())}
		for option := w.next(); option != ""; option = w.next() {
			name, value, _ := cut(option[1:], '=')
			q.Header = append(q.Header, http.Field{Name: name, Value: string(read(value))})
		}
		token, err := q.Send()
		if err != nil {
			to.line(verb).failed(err).end()
			return true
		}
		r.guest.sent = token
	case "answer":
		a, err := r.m.Answer().HTTP()
		if err != nil {
			to.line("http").failed(err).end()
			return true
		}
		to.line("http").number(uint64(a.Status)).end()
		to.block("header", a.Header)
		to.line("body").value(a.Body).end()
	default:
		return false
	}
	return true
}

func (r *run) filter(verb string, w *words) bool {
	to := &r.report
	switch verb {
	case "filter-source":
		source, ok, err := filter.Source(r.m)
		to.line(verb).unless(err, func() { to.found([]byte(source), ok) })
	case "filter-here":
		ok, err := filter.BlockSource(r.m, filter.TTL(w.number()))
		to.line(verb).orNone(ok, err, func() { to.word("ok") })
	case "filter-block":
		source := w.name()
		err := filter.Block(source, filter.TTL(w.number()))
		to.line(verb).value([]byte(source)).unless(err, func() { to.word("ok") })
	case "filter-allow":
		source := w.name()
		err := filter.Allow(source, filter.TTL(w.number()))
		to.line(verb).value([]byte(source)).unless(err, func() { to.word("ok") })
	case "filter-unblock":
		source := w.name()
		ok, err := filter.Unblock(source)
		to.line(verb).value([]byte(source)).orNone(ok, err, func() { to.word("ok") })
	default:
		return false
	}
	to.end()
	return true
}

// words takes a line apart.
type words struct{ rest string }

func (w *words) next() (word string) {
	for word == "" && w.rest != "" {
		word, w.rest, _ = cut(w.rest, ' ')
	}
	return word
}

func (w *words) bytes() []byte  { return read(w.next()) }
func (w *words) name() string   { return string(read(w.next())) }
func (w *words) number() uint64 { return unsigned(w.next()) }

func (w *words) fraction() float64 {
	f, _ := json.Find([]byte(w.next())).Float64()
	return f
}
