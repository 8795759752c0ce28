package weft

// Plugin is what every plugin implements.
type Plugin interface {
	// Init configures the plugin, once, before anything else. The
	// configuration is JSON, {} where the operator gave none. The operator
	// reads the error, at most 4 KiB of it.
	Init(config []byte) error
	// Message decides about a message. It is called again with the same
	// message if another one of its batch made the instance fail.
	Message(m *Message) Verdict
}

// Needer is a plugin that says what weft must fill in. Less is faster; without
// it everything is filled in. Called once, after Init.
type Needer interface{ Needs() Needs }

// Opener is a plugin that is asked when a session begins. Continue accepts it,
// drop and close refuse it, reply accepts it and sends a greeting.
type Opener interface {
	Open(session *Message) Verdict
}

// Closer is a plugin that is told when a session has ended; the attribute reason
// says why.
type Closer interface{ Close(session *Message) }

// Ticker is a plugin that is called as often as the operator's configuration
// says.
type Ticker interface{ Tick(tick *Message) }

// Resumer is a plugin that pauses messages: each comes back when its
// asynchronous call has been answered.
type Resumer interface{ Resume(m *Message) Verdict }

// Snapshotter is a plugin whose state outlives a swap. Snapshot is called last of
// all on the old instance, and what it gives (at most 32 MiB, nothing for none) is
// handed to Restore of the new one after its Init.
type Snapshotter interface {
	Snapshot() []byte
	Restore(state []byte) error
}

// guest is the registered plugin, and what it can do beyond [Plugin].
var guest struct {
	plugin      Plugin
	opener      Opener
	closer      Closer
	ticker      Ticker
	resumer     Resumer
	snapshotter Snapshotter
	hooks       Needs // the bits of the hooks that it has
}

// Register makes p the module's plugin; call it in an init function. Weft calls
// the optional interfaces that p implements, and no others. The last one that is
// registered counts.
func Register(p Plugin) {
	guest.plugin = p
	guest.opener, _ = p.(Opener)
	guest.closer, _ = p.(Closer)
	guest.ticker, _ = p.(Ticker)
	guest.resumer, _ = p.(Resumer)
	guest.snapshotter, _ = p.(Snapshotter)
	hooks := NeedsNothing()
	if guest.opener == nil {
		hooks = hooks.Without(HookOpen)
	}
	if guest.closer == nil {
		hooks = hooks.Without(HookClose)
	}
	if guest.ticker == nil {
		hooks = hooks.Without(HookTick)
	}
	if guest.resumer == nil {
		hooks = hooks.Without(HookResume)
	}
	guest.hooks = hooks
}
