package abi

// The message record: RecordSize bytes, little-endian, one for each message of a
// batch, in an array in the guest's memory. The host fills it in; the guest
// answers in the same record. A span is a pointer (uint32) followed by a length
// (uint32). Fields marked in/out are the message's own; the guest changes one by
// writing the new value and setting the field's bit in "changes".
const (
	RecordSize = 128

	RecordHook         = 0   // uint8, in: the hook that is called
	RecordType         = 1   // uint8, in/out
	RecordPriority     = 2   // uint8, in/out
	RecordQoS          = 3   // uint8, in/out
	RecordFlags        = 4   // uint32, in
	RecordSession      = 8   // uint64, in
	RecordSeq          = 16  // uint64, in/out
	RecordTime         = 24  // int64, in: 0 unless the clock capability is granted
	RecordTopic        = 32  // span, in/out
	RecordAttrs        = 40  // span, in/out
	RecordContext      = 48  // span, in/out: what weft remembers about the session
	RecordPayload      = 56  // span, in/out
	RecordPayloadTotal = 64  // uint32, in: the payload's length before it was cut to a prefix
	RecordListener     = 68  // span, in: the listener's name
	RecordVerdict      = 76  // uint32, out
	RecordChanges      = 80  // uint32, out
	RecordOut          = 84  // span, out: what the verdict carries
	RecordEffects      = 92  // pointer and count (not bytes), out: an array of effects
	RecordAnswer       = 100 // span, in: the answer that a resumed message waited for
	RecordAnswerStatus = 108 // int32, in: 0, or the error of the asynchronous call
	RecordToken        = 112 // uint64, in/out: which asynchronous call a message waits for
	RecordReserved     = 120 // 8 bytes, zero
)

// The effect record: what a plugin does beside its verdict.
const (
	EffectSize = 64

	EffectKind     = 0  // uint8
	EffectType     = 1  // uint8: the emitted message's type
	EffectPriority = 2  // uint8
	EffectQoS      = 3  // uint8
	EffectFlags    = 4  // uint32: FlagRetain or 0
	EffectSeq      = 8  // uint64
	EffectTopic    = 16 // span: the message's topic, or the pattern of a subscription
	EffectAttrs    = 24 // span
	EffectPayload  = 32 // span
	EffectReserved = 40 // 24 bytes, zero
)

// Hook is the moment at which a plugin is called.
type Hook uint8

// The hooks. Each has an export of its own; an SDK exports those it serves.
const (
	HookMessages Hook = 1
	HookOpen     Hook = 2
	HookClose    Hook = 3
	HookTick     Hook = 4
	HookResume   Hook = 5
)

// String is the hook's name as it appears in logs and manifests.
func (h Hook) String() string {
	switch h {
	case HookMessages:
		return "messages"
	case HookOpen:
		return "open"
	case HookClose:
		return "close"
	case HookTick:
		return "tick"
	case HookResume:
		return "resume"
	}
	return "unknown"
}

// Verdict is a plugin's decision about one message.
type Verdict uint32

// The verdicts. A host takes any other number for a fault of the plugin.
const (
	// VerdictContinue passes the message, as changed, to the next plugin.
	VerdictContinue Verdict = 0
	// VerdictDrop ends the message; out is the reason, UTF-8.
	VerdictDrop Verdict = 1
	// VerdictReply ends the message and sends out to its session as a response
	// with the message's sequence id, priority and attributes.
	VerdictReply Verdict = 2
	// VerdictRoute ends the chain and delivers the message to the destinations
	// in out, one a line; the configured routes are not asked.
	VerdictRoute Verdict = 3
	// VerdictClose ends the message and closes its session; out is the reason.
	VerdictClose Verdict = 4
	// VerdictPause holds the message until the asynchronous call in token has
	// its answer; the message then comes back through HookResume.
	VerdictPause Verdict = 5
)

// String is the verdict's name as it appears in logs, metrics and test cases.
func (v Verdict) String() string {
	switch v {
	case VerdictContinue:
		return "continue"
	case VerdictDrop:
		return "drop"
	case VerdictReply:
		return "reply"
	case VerdictRoute:
		return "route"
	case VerdictClose:
		return "close"
	case VerdictPause:
		return "pause"
	}
	return "unknown"
}

// Changes says which in/out fields of a record the guest has changed.
type Changes uint32

// The bits of a record's changes field. A host takes any other bit for a fault.
const (
	ChangedTopic    Changes = 1 << 0
	ChangedAttrs    Changes = 1 << 1
	ChangedContext  Changes = 1 << 2
	ChangedPayload  Changes = 1 << 3
	ChangedSeq      Changes = 1 << 4
	ChangedType     Changes = 1 << 5
	ChangedPriority Changes = 1 << 6
	ChangedQoS      Changes = 1 << 7

	// ChangesKnown is every bit of this version.
	ChangesKnown = ChangedTopic | ChangedAttrs | ChangedContext | ChangedPayload |
		ChangedSeq | ChangedType | ChangedPriority | ChangedQoS
)

// Effect is what a plugin does beside its verdict.
type Effect uint8

// The kinds of effects. A host takes any other number for a fault.
const (
	// EffectEmit makes a further message, which goes on with the plugin that
	// follows in the chain.
	EffectEmit Effect = 1
	// EffectSubscribe subscribes the message's session to the pattern in topic.
	EffectSubscribe Effect = 2
	// EffectUnsubscribe ends the subscription to the pattern in topic.
	EffectUnsubscribe Effect = 3
)

// Needs is what weft_needs answers: what the host must put into the records.
// The low 32 bits are how many bytes of each payload the guest wants to see,
// PayloadAll for every byte. The guest may always change any field.
type Needs uint64

// The parts of Needs.
const (
	// PayloadNone and PayloadAll bound the low 32 bits.
	PayloadNone Needs = 0
	PayloadAll  Needs = 0xffffffff
	// NeedHookShift places the bits of the hooks: bit 32+n for hook n. A hook
	// is called if it is exported and its bit is set.
	NeedHookShift = 32
	// NeedTopic, NeedAttrs and NeedContext ask for these fields; without its
	// bit a field reads as an empty span. NeedListener asks for the listener's
	// name.
	NeedTopic    Needs = 1 << 40
	NeedAttrs    Needs = 1 << 41
	NeedContext  Needs = 1 << 42
	NeedListener Needs = 1 << 43

	// NeedHooks is the bits of every hook of this version.
	NeedHooks Needs = (1<<HookMessages | 1<<HookOpen | 1<<HookClose | 1<<HookTick | 1<<HookResume) << NeedHookShift
	// NeedsAll is what a guest without weft_needs gets.
	NeedsAll = PayloadAll | NeedTopic | NeedAttrs | NeedContext | NeedListener | NeedHooks
)

// Payload is how many bytes of each payload the guest wants to see; ok is false
// for all of them.
func (n Needs) Payload() (prefix uint32, ok bool) {
	p := uint32(n & PayloadAll)
	return p, p != uint32(PayloadAll)
}

// Hook reports whether the guest wants the hook to be called.
func (n Needs) Hook(h Hook) bool { return n>>(NeedHookShift+Needs(h))&1 == 1 }

// Limits of version 1. What exceeds one is a fault of the side that made it.
const (
	MaxTopic      = 65535    // bytes of a topic or pattern
	MaxAttribute  = 65535    // bytes of one name or one value
	MaxAttrs      = 64 << 10 // bytes of a message's attribute block
	MaxContext    = 4 << 10  // bytes of a session's context block
	MaxPayload    = 16 << 20 // bytes of a payload
	MaxBatch      = 4096     // records in one call
	MaxBuffer     = 32 << 20 // bytes the host asks weft_buffer for
	MaxEffects    = 64       // effects of one message
	MaxReason     = 256      // bytes of a drop or close reason
	MaxError      = 4 << 10  // bytes of an error text of init or restore
	MaxConfig     = 1 << 20  // bytes of a configuration
	MaxManifest   = 64 << 10 // bytes of the manifest section
	MaxSnapshot   = 32 << 20 // bytes of a snapshot
	MaxKVKey      = 1 << 10  // bytes of a key
	MaxKVValue    = 1 << 20  // bytes of a value
	MaxLog        = 8 << 10  // bytes of one log line
	MaxMetricName = 64       // bytes of a metric's name
	MaxHostBytes  = 1 << 20  // bytes one host call may write into the guest
	MaxPauses     = 16       // times that one message may be paused
	MaxHTTPMethod = 16       // bytes of a request's method
	MaxHTTPTarget = 8 << 10  // bytes of a request's URL
	MaxHTTPHeader = 16 << 10 // bytes of a request's or an answer's header block
	MaxHTTPBody   = 1 << 20  // bytes of a request's or an answer's body
	MaxSource     = 64       // bytes of a source as text
)

// The answer of http_send as a resumed record carries it: AnswerHTTPSize bytes,
// then the header block (an attribute block, names in lower case), then the body.
const (
	AnswerHTTPSize = 8

	AnswerHTTPStatus = 0 // uint32: the status code, 100 to 599
	AnswerHTTPHeader = 4 // uint32: the header block's length
)
