package weft

import "unsafe"

// What the exports do.

const stride = uint32(unsafe.Sizeof(record{}))

func registered() Plugin {
	if guest.plugin == nil {
		panic("weft: no plugin is registered: call weft.Register in an init function")
	}
	return guest.plugin
}

func configure(config span) uint64 {
	begin()
	return failure(registered().Init(own(config)))
}

func needs() uint64 {
	n := NeedsEverything()
	if p, ok := registered().(Needer); ok {
		n = p.Needs()
	}
	return uint64(n &^ (Needs(needHooks) &^ guest.hooks))
}

func onMessages(records, count uint32) uint32 {
	begin()
	p, end := registered(), records+count*stride
	for address := records; address != end; address += stride {
		m := messageAt(address)
		m.decide(p.Message(m))
		m.carry(address, end)
	}
	return count
}

func onOpen(records, count uint32) uint32 {
	begin()
	p, end := guest.opener, records+count*stride
	if p == nil {
		return count
	}
	for address := records; address != end; address += stride {
		m := messageAt(address)
		m.decide(p.Open(m))
		m.carry(address, end)
	}
	return count
}

func onClose(records, count uint32) uint32 {
	begin()
	p, end := guest.closer, records+count*stride
	if p == nil {
		return count
	}
	for address := records; address != end; address += stride {
		p.Close(messageAt(address))
	}
	return count
}

func onTick(records, count uint32) uint32 {
	begin()
	p, end := guest.ticker, records+count*stride
	if p == nil {
		return count
	}
	for address := records; address != end; address += stride {
		p.Tick(messageAt(address))
	}
	return count
}

func onResume(records, count uint32) uint32 {
	begin()
	p, end := guest.resumer, records+count*stride
	if p == nil {
		return count
	}
	for address := records; address != end; address += stride {
		m := messageAt(address)
		m.decide(p.Resume(m))
		m.carry(address, end)
	}
	return count
}

func snapshot() uint64 {
	begin()
	if guest.snapshotter == nil {
		return 0
	}
	return lendBytes(guest.snapshotter.Snapshot()).packed()
}

func restore(state span) uint64 {
	begin()
	if guest.snapshotter == nil {
		return 0
	}
	return failure(guest.snapshotter.Restore(own(state)))
}

// own is a copy of what the host gave, so that the plugin may keep it.
func own(s span) []byte { return append([]byte(nil), s.bytes()...) }

// failure lends an error's text within its limit; something where there is
// nothing, because an empty text would say that there is no error.
func failure(err error) uint64 {
	if err == nil {
		return 0
	}
	text := err.Error()
	if text == "" {
		text = "the plugin gave no reason"
	}
	end := min(len(text), maxError)
	for end < len(text) && end > 0 && text[end]&0xc0 == 0x80 {
		end-- // not in the middle of a character
	}
	return lendString(text[:end]).packed()
}

func (s span) packed() uint64 {
	if s.size == 0 {
		return 0
	}
	return uint64(s.at)<<32 | uint64(s.size)
}
