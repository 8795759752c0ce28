package weft

import "unsafe"

// span is where the host finds bytes: an address in the guest's memory, and how
// many there are. The address of none means nothing.
type span struct{ at, size uint32 }

// record is the message record of abi/SPEC.md, section 4, as it lies in memory.
type record struct {
	hook         uint8
	kind         uint8
	priority     uint8
	qos          uint8
	flags        uint32
	session      uint64
	seq          uint64
	time         int64
	topic        span
	attributes   span
	context      span
	payload      span
	payloadTotal uint32
	listener     span
	verdict      uint32
	changes      uint32
	out          span
	effects      uint32 // an address
	effectCount  uint32
	answer       span
	answerStatus int32
	token        uint64
	_            [8]byte
}

// effect is the effect record of section 4.4.
type effect struct {
	what       uint8
	kind       uint8
	priority   uint8
	qos        uint8
	flags      uint32
	seq        uint64
	topic      span
	attributes span
	payload    span
	_          [24]byte
}

// The compiler lays the two out as the generated offsets say, or does not
// compile this: the arrays' lengths must agree.
var (
	_ [recordSize]struct{}         = [unsafe.Sizeof(record{})]struct{}{}
	_ [recordHook]struct{}         = [unsafe.Offsetof(record{}.hook)]struct{}{}
	_ [recordType]struct{}         = [unsafe.Offsetof(record{}.kind)]struct{}{}
	_ [recordPriority]struct{}     = [unsafe.Offsetof(record{}.priority)]struct{}{}
	_ [recordQoS]struct{}          = [unsafe.Offsetof(record{}.qos)]struct{}{}
	_ [recordFlags]struct{}        = [unsafe.Offsetof(record{}.flags)]struct{}{}
	_ [recordSession]struct{}      = [unsafe.Offsetof(record{}.session)]struct{}{}
	_ [recordSeq]struct{}          = [unsafe.Offsetof(record{}.seq)]struct{}{}
	_ [recordTime]struct{}         = [unsafe.Offsetof(record{}.time)]struct{}{}
	_ [recordTopic]struct{}        = [unsafe.Offsetof(record{}.topic)]struct{}{}
	_ [recordAttrs]struct{}        = [unsafe.Offsetof(record{}.attributes)]struct{}{}
	_ [recordContext]struct{}      = [unsafe.Offsetof(record{}.context)]struct{}{}
	_ [recordPayload]struct{}      = [unsafe.Offsetof(record{}.payload)]struct{}{}
	_ [recordPayloadTotal]struct{} = [unsafe.Offsetof(record{}.payloadTotal)]struct{}{}
	_ [recordListener]struct{}     = [unsafe.Offsetof(record{}.listener)]struct{}{}
	_ [recordVerdict]struct{}      = [unsafe.Offsetof(record{}.verdict)]struct{}{}
	_ [recordChanges]struct{}      = [unsafe.Offsetof(record{}.changes)]struct{}{}
	_ [recordOut]struct{}          = [unsafe.Offsetof(record{}.out)]struct{}{}
	_ [recordEffects]struct{}      = [unsafe.Offsetof(record{}.effects)]struct{}{}
	_ [recordEffects + 4]struct{}  = [unsafe.Offsetof(record{}.effectCount)]struct{}{}
	_ [recordAnswer]struct{}       = [unsafe.Offsetof(record{}.answer)]struct{}{}
	_ [recordAnswerStatus]struct{} = [unsafe.Offsetof(record{}.answerStatus)]struct{}{}
	_ [recordToken]struct{}        = [unsafe.Offsetof(record{}.token)]struct{}{}

	_ [effectSize]struct{}     = [unsafe.Sizeof(effect{})]struct{}{}
	_ [effectKind]struct{}     = [unsafe.Offsetof(effect{}.what)]struct{}{}
	_ [effectType]struct{}     = [unsafe.Offsetof(effect{}.kind)]struct{}{}
	_ [effectPriority]struct{} = [unsafe.Offsetof(effect{}.priority)]struct{}{}
	_ [effectQoS]struct{}      = [unsafe.Offsetof(effect{}.qos)]struct{}{}
	_ [effectFlags]struct{}    = [unsafe.Offsetof(effect{}.flags)]struct{}{}
	_ [effectSeq]struct{}      = [unsafe.Offsetof(effect{}.seq)]struct{}{}
	_ [effectTopic]struct{}    = [unsafe.Offsetof(effect{}.topic)]struct{}{}
	_ [effectAttrs]struct{}    = [unsafe.Offsetof(effect{}.attributes)]struct{}{}
	_ [effectPayload]struct{}  = [unsafe.Offsetof(effect{}.payload)]struct{}{}
)
