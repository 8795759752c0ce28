package plugins

import (
	"fmt"
	"log/slog"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

// denyEvery is how often a plugin of a chain has an effect logged that was
// denied, in nanoseconds.
const denyEvery = 10e9

// denials is when an effect outside the grants was last logged.
type denials struct {
	logged bool
	last   int64  // Clock.Monotonic
	unsaid uint64 // denied since then
}

// allows reports whether an effect lies within the plugin's grants. One that does
// not is counted, and now and then logged with the line that would allow it.
func (h *seat) allows(kind abi.Effect, topic []byte) bool {
	host := h.plugin.host
	if kind == abi.EffectEmit {
		if host.MayPublish(topic) {
			return true
		}
	} else if host.MaySubscribe(topic) {
		return true
	}
	h.counters.denied.add(1)
	d, now := &h.denied, h.now()
	if d.logged && now-d.last < denyEvery {
		d.unsaid++
		return false
	}
	unsaid := d.unsaid
	*d = denials{logged: true, last: now}
	h.logDenied(kind, printable(topic, 128), unsaid)
	return false
}

func (h *seat) logDenied(kind abi.Effect, topic string, unsaid uint64) {
	capability, effect := abi.CapSubscribe, "subscribe"
	switch kind {
	case abi.EffectEmit:
		capability, effect = abi.CapPublish, "emit"
	case abi.EffectUnsubscribe:
		effect = "unsubscribe"
	}
	attrs := []slog.Attr{
		slog.String("effect", effect), slog.String("topic", topic),
		slog.String("fix", grantTopic(h.plugin.spec.Name, h.plugin.spec.Grants, capability, topic)),
	}
	if unsaid > 0 {
		attrs = append(attrs, slog.Uint64("unsaid", unsaid))
	}
	h.log(slog.LevelWarn, "effect is outside the plugin's grants and was not carried out", attrs...)
}

// grantTopic is what to do to the configuration so that a topic is granted.
func grantTopic(plugin string, g hostfuncs.Grants, c abi.Capability, topic string) string {
	if g.Has(c) {
		return fmt.Sprintf("add %q to plugins.%s.grants.%s.topics", topic, plugin, c)
	}
	return fmt.Sprintf("add `%s: {topics: [%q]}` under plugins.%s.grants", c, topic, plugin)
}
