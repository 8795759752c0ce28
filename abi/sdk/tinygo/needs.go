package weft

// Hook is one of a plugin's methods, as weft names them.
type Hook uint8

// The hooks.
const (
	HookMessages = Hook(hookMessages)
	HookOpen     = Hook(hookOpen)
	HookClose    = Hook(hookClose)
	HookTick     = Hook(hookTick)
	HookResume   = Hook(hookResume)
)

// Needs is what weft must fill in: begin with [NeedsNothing] and add. What is
// not asked for reads as empty and costs nothing to pass; it can be set all the
// same.
//
//	weft.NeedsNothing().Topic().Context().Payload(64)
type Needs uint64

// NeedsEverything asks for every field and the whole payload.
func NeedsEverything() Needs { return Needs(needsAll) }

// NeedsNothing asks for none of topic, attributes, context, listener and payload.
func NeedsNothing() Needs { return Needs(needHooks) }

// Topic asks for the topic.
func (n Needs) Topic() Needs { return n | Needs(needTopic) }

// Attributes asks for the attributes. A plugin that sets or removes one needs
// them.
func (n Needs) Attributes() Needs { return n | Needs(needAttrs) }

// Context asks for the session's context. A plugin that sets a value in it needs
// it.
func (n Needs) Context() Needs { return n | Needs(needContext) }

// Listener asks for the listener's name.
func (n Needs) Listener() Needs { return n | Needs(needListener) }

// Payload asks for the first bytes of each payload.
func (n Needs) Payload(bytes uint32) Needs { return n&^Needs(payloadAll) | Needs(bytes) }

// WholePayload asks for the whole of each payload.
func (n Needs) WholePayload() Needs { return n | Needs(payloadAll) }

// Without says that a hook is not to be called though the plugin has it.
func (n Needs) Without(hook Hook) Needs { return n &^ (1 << (needHookShift + hook)) }
