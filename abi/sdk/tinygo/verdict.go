package weft

// Verdict is a plugin's decision about one message. The zero value continues.
// It belongs to the call that it was made in.
type Verdict struct {
	kind  uint32
	out   span
	token uint64
}

// Continue passes the message, as changed, to the next plugin, and after the
// last one to the configured routes.
func Continue() Verdict { return Verdict{} }

// Drop ends the message. The reason (at most 256 bytes) is counted and logged by
// weft: use few different ones.
func Drop(reason string) Verdict { return Verdict{kind: verdictDrop, out: lendString(reason)} }

// Reply ends the message and sends the payload to its session as a response with
// the message's sequence id, priority, topic and attributes.
func Reply(payload []byte) Verdict { return Verdict{kind: verdictReply, out: lendBytes(payload)} }

// ReplyString is Reply with the strings joined.
func ReplyString(parts ...string) Verdict {
	return Verdict{kind: verdictReply, out: join(parts)}
}

// Route ends the chain and sends the message to each of the destinations instead
// of the configured routes: subscribers, topic:NAME, node:NAME, all, queue:NAME,
// upstream:NAME, reply, dead-letter.
func Route(destinations ...string) Verdict {
	var w Writer
	for i, d := range destinations {
		if i > 0 {
			w.extend(1)[0] = '\n'
		}
		w.WriteString(d)
	}
	return Verdict{kind: verdictRoute, out: lendBytes(w.Bytes())}
}

// Close ends the message and closes its session once what was sent before has
// left. The reason is at most 256 bytes long.
func Close(reason string) Verdict { return Verdict{kind: verdictClose, out: lendString(reason)} }

// Pause holds the message until the asynchronous call with this token has its
// answer; the message then comes back through Resume.
func Pause(token uint64) Verdict { return Verdict{kind: verdictPause, token: token} }
