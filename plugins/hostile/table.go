package hostile

import (
	"time"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// says is what an error or the log must say.
func says(words ...string) []string { return words }

// starved is a guest that runs out of fuel.
func starved(name string) Guest {
	return Guest{Name: name, Fate: Contained, Cause: plugins.CauseFuel, Counts: FuelTraps,
		Says: says("plugin used up its CPU budget", "units of fuel", "does it loop for ever?")}
}

// tooDeep is a guest that nests its calls too deep.
func tooDeep(name string) Guest {
	return Guest{Name: name, Fate: Contained, Cause: plugins.CauseDepth, Counts: DepthTraps,
		Says: says("plugin nested its calls too deep", "more than 8000 nested calls")}
}

// trapping is a guest that traps by its own doing.
func trapping(name string, words ...string) Guest {
	return Guest{Name: name, Fate: Contained, Cause: plugins.CauseTrap, Counts: Traps, Says: append(words, "plugin trapped")}
}

// faulty is a guest whose answer breaks the contract.
func faulty(name string, words ...string) Guest {
	return Guest{Name: name, Fate: Contained, Cause: plugins.CauseFault, Counts: Faults, Says: append(words, "plugin broke the contract")}
}

func harmless(name string) Guest { return Guest{Name: name, Fate: Harmless} }

func refusal(name string, class error, words ...string) Guest {
	return Guest{Name: name, Fate: Refused, Error: class, Says: words}
}

func (g Guest) on(on On) Guest {
	g.On = on
	return g
}

func (g Guest) after(messages int) Guest {
	g.After = messages
	return g
}

func (g Guest) memory(bytes int64) Guest {
	g.Memory = bytes
	return g
}

func (g Guest) granted(grants hostfuncs.Grants) Guest {
	g.Grants = grants
	return g
}

// endless lists what takes time or memory without end.
func endless() []Guest {
	swap := starved("loop-snapshot").on(Swap)
	swap.Error, swap.Says = plugins.ErrFuel, says("weft_snapshot took more than")
	restore := starved("loop-restore").on(Swap)
	restore.Error, restore.Says = plugins.ErrFuel, says("weft_restore took more than")
	return []Guest{
		starved("loop-one"),
		starved("loop-work"),
		starved("loop-branches"),
		starved("loop-open").on(Open),
		starved("loop-close").on(Close),
		starved("loop-tick").on(Tick),
		starved("loop-buffer").on(AllMessages),
		swap,
		restore,
		tooDeep("recursion").cpu(time.Millisecond),
		tooDeep("recursion-wide").cpu(time.Millisecond),
		tooDeep("recursion-mutual").cpu(time.Millisecond),
		tooDeep("recursion-indirect").cpu(time.Millisecond),
		starved("exponential"),
		starved("exponential-chain"),
		harmless("grow-cap").cpu(time.Millisecond),
		starved("grow-beyond"),
		starved("grow-nothing"),
		starved("fill"),
		starved("copy"),
		starved("init-data"),
		starved("table-grow"),
		starved("table-fill"),
		starved("random-reads"),
		starved("floats"),
		starved("sleeper").after(10_000).recovers(),
		starved("growing").after(10_000).recovers(),
		harmless("slow"),
		trapping("costly-rebuild", "unreachable"),
		trapping("trap-division", "integer overflow"),
		trapping("trap-address", "out of bounds memory access"),
		trapping("trap-table", "table"),
	}
}

// floods lists what floods the host with calls.
func floods() []Guest {
	kv := hostfuncs.Grants{KV: &hostfuncs.KVGrant{Namespace: "hostile"}}
	log := hostfuncs.Grants{Log: &hostfuncs.LogGrant{}}
	metrics := hostfuncs.Grants{Metrics: &hostfuncs.MetricsGrant{}}
	random := hostfuncs.Grants{Random: &hostfuncs.RandomGrant{}}
	wasi := hostfuncs.Grants{WASI: &hostfuncs.WASIGrant{}, Log: &hostfuncs.LogGrant{}, Random: &hostfuncs.RandomGrant{}}
	http, err := hostfuncs.ParseGrants(map[string]map[string]any{"http": {"hosts": []any{"http://127.0.0.1:9"}}})
	if err != nil {
		panic(err)
	}
	return []Guest{
		starved("flood-log").granted(log),
		harmless("huge-log").granted(log).cpu(time.Millisecond),
		starved("flood-metric-names").granted(metrics),
		starved("flood-metrics").granted(metrics),
		harmless("metric-values").granted(metrics),
		starved("flood-clock").granted(hostfuncs.Grants{Clock: &hostfuncs.ClockGrant{}}),
		starved("flood-random").granted(random),
		starved("flood-random-small").granted(random),
		starved("flood-kv-keys").granted(kv),
		starved("flood-kv-value").granted(kv),
		starved("flood-kv-get").granted(kv),
		starved("flood-kv-ttl").granted(kv),
		harmless("kv-arguments").granted(kv).cpu(time.Millisecond),
		starved("flood-http").granted(http),
		starved("flood-filter").granted(hostfuncs.Grants{Filter: &hostfuncs.FilterGrant{}}),
		starved("flood-source").granted(hostfuncs.Grants{Filter: &hostfuncs.FilterGrant{}}),
		starved("flood-http-header").granted(http),
		starved("flood-wasi-lines").granted(wasi),
		starved("flood-wasi-nothing").granted(wasi),
	}
}

// answers lists what answers nonsense.
func answers() []Guest {
	outside := faulty("snapshot-outside").on(Swap)
	outside.Error, outside.Says = plugins.ErrFault, says("weft_snapshot", "does not lie in its memory")
	none := Guest{Name: "buffer-none", Fate: Contained, On: AllMessages, Cause: plugins.CauseBuffer, Counts: Policy}
	bomb := starved("reply-bomb").memory(32 << 20)
	bomb.Says = says("its answers have 16777216 bytes", "raise cpu, or answer less")
	emits := hostfuncs.Grants{Publish: &hostfuncs.PublishGrant{Topics: []string{"bomb/#"}}}
	subscribes := hostfuncs.Grants{Subscribe: &hostfuncs.SubscribeGrant{Topics: []string{"b/+"}}}
	return []Guest{
		faulty("count-more", "given 3 records and answered 4"),
		faulty("count-huge", "answered 4294967295"),
		harmless("records-of-others"),
		faulty("verdict-unknown", "unknown verdict 6"),
		faulty("changes-unknown", "unknown bits 0x80000000 in changes"),
		faulty("reserved", "the reserved bytes are not zero"),
		faulty("pause-foreign", "pauses with token 1234567890123"),
		faulty("span-outside", "the payload at 0x", "does not lie in the memory"),
		faulty("span-wraps", "the payload at 0xfffffff0 with 32 bytes does not lie in the memory"),
		faulty("span-4gib", "the reply has 4294967295 bytes"),
		faulty("effects-outside", "2 effects at 0xffffffc0 do not lie in the memory"),
		faulty("effects-many", "67108865 effects, at most 64 are allowed"),
		faulty("effects-inside", "effect"),
		faulty("reason-long", "the reason has 1048576 bytes, at most 256"),
		faulty("topic-zero", "the topic holds a zero byte"),
		faulty("topic-wildcard", "holds a wildcard"),
		faulty("topic-long", "the topic has 65536 bytes"),
		harmless("topic-levels").cpu(time.Millisecond),
		faulty("attributes-malformed", "attribute"),
		faulty("context-long", "the context has 5125 bytes"),
		faulty("destination-bad", "destination"),
		bomb,
		faulty("amplify", "the answers to one batch take more than"),
		harmless("emit-bomb").granted(emits),
		harmless("subscribe-bomb").granted(subscribes).cpu(time.Millisecond),
		faulty("buffer-outside", "weft_buffer(16384) answered 0x7ffffff8").on(AllMessages),
		faulty("buffer-wraps", "weft_buffer(16384) answered 0xfffffff8").on(AllMessages),
		faulty("buffer-unaligned", "not aligned to 8").on(AllMessages),
		none,
		harmless("buffer-stack"),
		outside,
	}
}

// refused lists what must not load, as tools write it.
func refused() []Guest {
	return []Guest{
		refusal("loop-init", plugins.ErrFuel, "weft_init took more than its", "does it loop for ever?"),
		refusal("loop-start", plugins.ErrTrap, "start"),
		refusal("loop-initialize", plugins.ErrFuel, "_initialize took more than its"),
		refusal("loop-needs", plugins.ErrFuel, "weft_needs took more than its"),
		refusal("trap-start", plugins.ErrTrap, "start"),
		refusal("error-outside", plugins.ErrFault, "the error text that weft_init answered does not lie in its memory"),
		refusal("error-escapes", plugins.ErrInit, "plugin refused its configuration"),
		refusal("needs-unknown", plugins.ErrFault, "weft_needs sets unknown bits"),
		refusal("buffer-none-init", plugins.ErrFault, "no buffer"),
		refusal("import-wasi", plugins.ErrNotGranted, "imports wasi_snapshot_preview1.fd_write", "`wasi: {}`"),
		refusal("import-wasi-unknown", plugins.ErrImport, "wasi_snapshot_preview1.proc_spawn"),
		refusal("import-unknown", plugins.ErrImport, "weft.exec", "later version"),
		refusal("import-signature", plugins.ErrImport, "weft.log as (i64, i64) -> (i32)"),
		refusal("import-ungranted", plugins.ErrNotGranted, "weft.kv_get", "`kv: {namespace: NAME, size: 1MiB}`"),
		refusal("import-global", plugins.ErrImport, "weft.weft:fuel"),
		refusal("import-memory", plugins.ErrImport, "weft.memory"),
		refusal("export-fuel", plugins.ErrCompile, "weft:fuel"),
		refusal("hook-misspelt", plugins.ErrExport, "did you mean weft_on_messages?"),
	}
}

func (g Guest) cpu(d time.Duration) Guest {
	g.CPU = d
	return g
}

func (g Guest) recovers() Guest {
	g.Recovers = true
	return g
}
