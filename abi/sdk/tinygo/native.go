//go:build !wasm && !tinygo.wasm

package weft

import "github.com/weftrun/weft/abi/sdk/tinygo/internal/bridge"

// What package wefttest calls: the exports, over records in the region.

func init() {
	bridge.Forget = forget
	bridge.Init = func(config string) string { return unpack(configure(place(config))) }
	bridge.Needs = needs
	bridge.Run = run
	bridge.Snapshot = func() string { return unpack(snapshot()) }
	bridge.Restore = func(state string) string { return unpack(restore(place(state))) }
}

// buffer gives the host's buffer, as the host does: a new one only if it must be
// larger.
func buffer(size int) (address uint32, bytes []byte) {
	if lent.input.size < uint32(size) {
		if input(uint32(size)) == 0 {
			panic("weft: more than 32 MiB in one call")
		}
	}
	return lent.input.at, view(lent.input.at, uint32(size))
}

func place(s string) span {
	address, b := buffer(len(s))
	copy(b, s)
	return span{address, uint32(len(s))}
}

func unpack(packed uint64) string {
	return string(span{uint32(packed >> 32), uint32(packed)}.bytes())
}

func run(hook uint8, batch []bridge.Input) []bridge.Output {
	size := len(batch) * recordSize
	for i := range batch {
		in := &batch[i]
		size += len(in.Topic) + len(in.Payload) + len(in.Listener) + len(in.Answer) + blockSize(in.Attributes) + blockSize(in.Context)
	}
	records, bytes := buffer(size)
	clear(bytes[:len(batch)*recordSize])
	free := span{records + uint32(len(batch)*recordSize), 0}
	for i := range batch {
		fill(&messageAt(records+uint32(i*recordSize)).r, hook, &batch[i], &free)
	}
	count := uint32(len(batch))
	hooks := [...]func(uint32, uint32) uint32{
		hookMessages: onMessages, hookOpen: onOpen, hookClose: onClose, hookTick: onTick, hookResume: onResume,
	}
	if hooks[hook](records, count) != count {
		panic("weft: a hook must answer every record")
	}
	out := make([]bridge.Output, len(batch))
	for i := range out {
		out[i] = read(&messageAt(records + uint32(i*recordSize)).r)
	}
	return out
}

func fill(r *record, hook uint8, in *bridge.Input, free *span) {
	put := func(s string) span {
		at := span{free.at, uint32(copy(view(free.at, uint32(len(s))), s))}
		free.at += at.size
		return at
	}
	r.hook, r.kind, r.priority, r.qos, r.flags = hook, in.Type, in.Priority, in.QoS, in.Flags
	r.session, r.seq, r.time = in.Session, in.Seq, in.Time
	r.topic, r.attributes, r.context = put(in.Topic), put(encode(in.Attributes)), put(encode(in.Context))
	r.payload, r.payloadTotal, r.listener = put(in.Payload), uint32(len(in.Payload)), put(in.Listener)
	r.answer, r.answerStatus, r.token = put(in.Answer), in.Status, in.Token
}

func read(r *record) bridge.Output {
	out := bridge.Output{
		Verdict: r.verdict, Out: string(r.out.bytes()), Token: r.token,
		Topic: string(r.topic.bytes()), Payload: string(r.payload.bytes()),
		Attributes: decode(r.attributes), Context: decode(r.context),
		Type: r.kind, Priority: r.priority, QoS: r.qos, Seq: r.seq, Changes: r.changes,
	}
	for i := range r.effectCount {
		e := (*effect)(at(r.effects + i*effectSize))
		out.Effects = append(out.Effects, bridge.Effect{
			Kind: e.what, Topic: string(e.topic.bytes()), Payload: string(e.payload.bytes()), Attributes: decode(e.attributes),
			Type: e.kind, Priority: e.priority, QoS: e.qos, Flags: e.flags, Seq: e.seq,
		})
	}
	return out
}

func blockSize(list []bridge.Attribute) int {
	size := 0
	for _, a := range list {
		size += attributeHeader + len(a.Name) + len(a.Value)
	}
	return size
}

func encode(list []bridge.Attribute) string {
	b := make([]byte, 0, blockSize(list))
	for _, a := range list {
		check(a.Name, a.Value)
		from := len(b)
		b = b[:from+attributeHeader+len(a.Name)+len(a.Value)]
		put(b[from:], a.Name, a.Value)
	}
	return string(b)
}

func decode(block span) []bridge.Attribute {
	var list []bridge.Attribute
	for name, value := range (Attributes{block.bytes()}).All {
		list = append(list, bridge.Attribute{Name: string([]byte(name)), Value: string(value)})
	}
	return list
}
