package main

import weft "github.com/weftrun/weft/abi/sdk/tinygo"

// report is what the commands that read have to say: lines of words.
type report []byte

// line begins a line with its verb.
func (r *report) line(verb string) *report {
	*r = append(*r, verb...)
	return r
}

// word adds a word that needs no encoding.
func (r *report) word(s string) *report {
	*r = append(append(*r, ' '), s...)
	return r
}

func (r *report) number(n uint64) *report { return r.word(string(decimal(n))) }

func (r *report) signed(n int64) *report {
	if n < 0 {
		return r.word("-" + string(decimal(-uint64(n))))
	}
	return r.number(uint64(n))
}

// value adds bytes.
func (r *report) value(b []byte) *report {
	*r = write(append(*r, ' '), b)
	return r
}

// found adds bytes that may not be there.
func (r *report) found(b []byte, ok bool) *report {
	if !ok {
		return r.word("!none")
	}
	return r.value(b)
}

// failed adds what a host function could not do.
func (r *report) failed(err error) *report {
	switch err {
	case weft.ErrDenied:
		return r.word("!denied")
	case weft.ErrLimit:
		return r.word("!limit")
	case weft.ErrInvalid:
		return r.word("!invalid")
	case weft.ErrConflict:
		return r.word("!conflict")
	case weft.ErrTimeout:
		return r.word("!timeout")
	}
	return r.word("!failed")
}

// unless adds the error, or what done adds.
func (r *report) unless(err error, done func()) {
	if err != nil {
		r.failed(err)
		return
	}
	done()
}

func (r *report) orNone(ok bool, err error, done func()) {
	if err == nil && !ok {
		r.word("!none")
		return
	}
	r.unless(err, done)
}

// end ends the line.
func (r *report) end() { *r = append(*r, '\n') }

// echo adds every field of a message.
func (r *report) echo(hook string, m *weft.Message) {
	r.line("hook").word(hook).end()
	r.line("type").number(uint64(m.Type())).end()
	r.line("priority").number(uint64(m.Priority())).end()
	r.line("qos").number(uint64(m.QoS())).end()
	r.line("flags").word(flags(m)).end()
	r.line("session").number(m.Session()).end()
	r.line("seq").number(m.Seq()).end()
	r.line("time").signed(m.Time()).end()
	r.line("topic").value([]byte(m.Topic())).end()
	r.block("attribute", m.Attributes())
	r.block("context", m.Contexts())
	r.line("payload").value(m.Payload()).end()
	r.line("total").number(uint64(m.PayloadTotal())).end()
	r.line("listener").value([]byte(m.Listener())).end()
	if hook == "resume" {
		a := m.Answer()
		r.line("answer").number(a.Token).signed(int64(a.Status)).value(a.Bytes).end()
	}
}

func (r *report) block(verb string, block weft.Attributes) {
	for {
		name, value, ok := block.Next()
		if !ok {
			return
		}
		r.line(verb).value([]byte(name)).value(value).end()
	}
}

func flags(m *weft.Message) string {
	var set string
	add := func(is bool, name string) {
		switch {
		case is && set == "":
			set = name
		case is:
			set += "," + name
		}
	}
	add(m.PayloadIsCut(), "cut")
	add(m.Retain(), "retain")
	add(m.Redelivered(), "redelivered")
	add(m.Emitted(), "emitted")
	if set == "" {
		return "-"
	}
	return set
}

// digest is FNV-1a, 64 bit, and how many bytes went into it.
type digest struct{ length, hash uint64 }

func newDigest() *digest { return &digest{hash: 0xcbf29ce484222325} }

func (d *digest) add(b []byte) {
	d.length += uint64(len(b))
	for _, c := range b {
		d.hash = (d.hash ^ uint64(c)) * 0x100000001b3
	}
}

func (r *report) digest(d *digest) *report {
	var hash [8]byte
	for i := range hash {
		hash[i] = byte(d.hash >> (56 - 8*i))
	}
	return r.number(d.length).word(string(hex(nil, hash[:])))
}
