package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/tools/load"
)

type benching struct {
	plan       benchPlan
	wire       wire
	secure     secure
	ramp       string
	steps      int
	hold       time.Duration
	knee       bool
	p99        time.Duration
	most       float64
	templateAt string
	payloadAt  string
	pid        int
	thresholds []string
	exact      bool
	json       bool
	html       string
	crew       crew
}

func benchCommand(sys system) *cobra.Command {
	var b benching
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Generates load and reports rates, losses, order and latencies",
		Long: `Sends messages from one or more publishers to a listener and counts what its subscribers receive.

Closed loop (the default): as fast as at most --window undelivered messages allow; shows what weft can carry.
Open loop (--rate, --ramp): at a fixed rate, or one that rises, come what may; each latency counts from the time at which
the message was due, so a stall is not hidden (no coordinated omission).
Request (--request): each publisher waits for the answer to its message before it sends the next.

With --sign each connection shows a token of its own first, as the built-in example wants it: the publishers' identities
are publisher-0, publisher-1, ...; subscribers are subscribed to --topic by their token.

Templates (--template, --topic, --expect-json, --expect-subset) have placeholders: {client} and {seq} (the message's
number there), {n} and {topic}, in topics {worker}, {time} or {time:ms}, {random:1..100}, {random:0.5..9.5}, {choice:red|green}, {bytes:16},
{text:16}; payloads also {stamp}, by which a message is recognised, and {pad}, which fills up to --size. What is random
follows from --seed, and is the same wherever the same text stands for the same message: {random:1..9} in --expect-json
is what the message had. {random:1..9#b} is another one.

Several processes: "weft bench --worker" waits for work, --workers divides publishers, subscribers and rate among so
many, starts them at one moment and merges what they measured. Each worker measures what its own publishers sent to its
own subscribers, and counts what others sent as elsewhere: {worker} in --topic keeps them apart. A worker runs load for whoever may use the NATS server.

Exit code 5: a threshold or a check failed. Where the server ends a connection the report is of what was measured until then,
nothing is judged, and the exit code is 1.`,
		Example: `weft bench --sign --to 127.0.0.1:7400 --topic 'truck/#'                       # the built-in example, closed loop
weft bench --sign --topic 'truck/#' --rate 20000 --duration 10s --threshold p99=5ms --html report.html
weft bench --to 127.0.0.1:7401 --frame line --request --publishers 50 --expect 'pong|[0-9a-z]+'
weft bench --sign --topic 'truck/#' --ramp 1000..20000 --steps 10 --duration 30s --hold 5s
weft bench --sign --topic 'truck/#' --find-knee --p99 5ms
weft bench --to 127.0.0.1:1883 --frame mqtt5 --qos 1 --publishers 50 --topic 'site/{client}/temp' \
    --template '{"s":"{stamp}","temp":{random:0.5..9.5}}' --expect-subset '{"temp":{random:0.5..9.5}}' --exact
weft bench --to 127.0.0.1:7500 --frame api --topic bench/api                 # HTTP: Publish, and Subscribe
weft bench --to 127.0.0.1:1502 --frame modbus-tcp --registers 1:40001:2      # polls registers
weft bench --to 127.0.0.1:7402 --websocket / --request
weft bench --worker --backbone nats://127.0.0.1:4222                         # on each machine; then on one:
weft bench --workers 3 --backbone nats://127.0.0.1:4222 --to weft:1883 --frame mqtt --topic 'bench/{worker}' --publishers 300 --rate 90000
weft bench --sign --topic 'truck/#' --json >result.json`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd, sys) },
	}
	b.flags(cmd)
	return cmd
}

func (b *benching) flags(cmd *cobra.Command) {
	f, p := cmd.Flags(), &b.plan
	f.SortFlags = false
	f.StringVar(&p.To, "to", "127.0.0.1:7400", "the listener's `ADDRESS`; with --frame api that of the API")
	b.wire.flags(cmd, "mcp-seq")
	cmd.Flags().Lookup("frame").Usage = "frame `FORMAT` (weft frames lists them), or a protocol: mcp-dgram (reliable datagrams over UDP), mqtt (3.1.1), mqtt5, api (HTTP), modbus-tcp"
	b.secure.flags(cmd)
	f.StringVar(&p.WebSocket, "websocket", "", "speak WebSocket at this `PATH` of the listener")
	f.Float64Var(&p.Rate, "rate", 0, "open loop: messages a second over all publishers; with --request the most")
	f.StringVar(&b.ramp, "ramp", "", "open loop: messages a second that go `FROM..TO` in --duration")
	f.IntVar(&b.steps, "steps", 10, "of a --ramp; 1: it rises evenly")
	f.DurationVar(&b.hold, "hold", 0, "stay at the end of a --ramp for so long")
	f.BoolVar(&b.knee, "find-knee", false, "open loop: look for the highest rate at which --p99 is kept and nothing is lost; each trial takes --warmup and --duration")
	f.DurationVar(&b.p99, "p99", 5*time.Millisecond, "with --find-knee: what the 99th percentile must keep to")
	f.Float64Var(&b.most, "max-rate", 1e6, "with --find-knee: the highest rate to try; it begins at --rate, or 1000")
	f.IntVar(&p.Window, "window", 10000, "closed loop: messages in flight at most")
	f.BoolVar(&p.Request, "request", false, "wait for the answer to each message")
	f.IntVar(&p.Publishers, "publishers", 1, "publishing connections")
	f.IntVar(&p.Subscribers, "subscribers", 1, "subscribing connections; 0 only sends")
	f.StringArrayVar(&p.Topics, "topic", nil, "`PATTERN` that the subscribers' tokens ask for; with --frame mqtt, mqtt5 and api the topic (a template) that all publish and subscribe to (repeatable)")
	f.IntVar(&p.Spread, "topics", 1, "make so many topics of each --topic, with {n} from 0 on")
	f.IntVar(&p.Size, "size", 128, "payload in bytes")
	f.StringVar(&p.Template, "template", "", "payload as `TEXT` with placeholders (for JSON, say)")
	f.StringVar(&b.templateAt, "template-file", "", "`FILE` with the template")
	f.StringVar(&b.payloadAt, "payload-file", "", "`FILE` with the payload; the stamp takes the place of its first 16 bytes (34 in text formats), with --request nothing does")
	f.Uint64Var(&p.Seed, "seed", 1, "what random placeholders follow from")
	f.Uint8Var(&p.Priority, "priority", 0, "priority of the messages")
	f.DurationVar(&p.Duration, "duration", 5*time.Second, "how long to measure")
	f.DurationVar(&p.Warmup, "warmup", time.Second, "how long to send before that")
	f.Uint64Var(&p.Count, "count", 0, "end after so many messages")
	f.DurationVar(&p.Timeout, "timeout", 10*time.Second, "how long connecting, the first delivery, and with --request each answer may take")
	f.StringVar(&p.Token, "token", "", "`TOKEN` that every connection shows first")
	f.BoolVar(&p.Sign, "sign", false, "sign a token for each connection")
	f.StringVar(&p.Key, "key", "", "shared `SECRET` for --sign; none: that of the built-in example")
	f.Uint8Var(&p.QoS, "qos", 0, "with --frame mqtt, mqtt5 and api: quality of service of messages and subscriptions, 0, 1 or 2")
	f.IntVar(&p.MTU, "mtu", 0, "with --frame mcp-dgram: datagrams of at most so many bytes; 0: 1200")
	f.StringVar(&p.Registers, "registers", "", "with --frame modbus-tcp: `UNIT:ADDRESS:COUNT` to poll, such as 1:40001:2")
	f.StringVar(&p.Expect, "expect", "", "`REGEXP` that each answer, or each message delivered, must match")
	f.StringVar(&p.ExpectJSON, "expect-json", "", "`JSON` (a template) that it must be")
	f.StringVar(&p.ExpectSubset, "expect-subset", "", "`JSON` (a template) that must be in it")
	f.DurationVar(&p.ExpectWithin, "expect-within", 0, "the longest that it may take")
	f.BoolVar(&b.exact, "exact", false, "fail if anything is lost, comes twice or out of order, or is foreign")
	f.StringArrayVar(&b.thresholds, "threshold", nil, "`WHAT=LIMIT`: p50, p90, p99, p99.9, p99.99 or max at most so long, rate at least so many, lost, duplicates, out_of_order, foreign, unsent or failed at most so many (repeatable)")
	f.IntVar(&b.pid, "pid", 0, "`PID` of the server, to report its CPU time")
	f.BoolVar(&b.json, "json", false, "print JSON")
	f.StringVar(&b.html, "html", "", "write the report into this `FILE`, with plots; it needs nothing else")
	b.crew.flags(cmd)
	for _, pair := range [][]string{
		{"rate", "window"}, {"request", "window"}, {"token", "sign"}, {"token", "key"},
		{"ramp", "rate"}, {"ramp", "find-knee"}, {"ramp", "window"}, {"ramp", "request"}, {"ramp", "count"}, {"find-knee", "request"}, {"find-knee", "count"}, {"find-knee", "window"},
		{"template", "template-file", "payload-file"}, {"expect-json", "expect-subset"}, {"worker", "workers"}, {"workers", "pid"},
	} {
		cmd.MarkFlagsMutuallyExclusive(pair...)
	}
}

func (b *benching) run(cmd *cobra.Command, sys system) error {
	if b.crew.worker {
		return b.work(cmd, sys)
	}
	limits, err := parseThresholds(b.thresholds)
	if err != nil {
		return err
	}
	if b.exact {
		for _, what := range []string{"lost", "duplicates", "out_of_order", "foreign", "unsent"} {
			limits = append(limits, threshold{what: what})
		}
	}
	if err := b.prepare(cmd); err != nil {
		return err
	}
	began := time.Now()
	result, err := b.measure(cmd, sys)
	if result == nil {
		return err
	}
	result.About = &load.About{Began: began.UTC().Truncate(time.Second), Version: currentVersions().Version, Command: commandLine(sys), Machine: load.ThisMachine()}
	if reporting := b.report(cmd, result); reporting != nil {
		return reporting
	}
	if err != nil {
		return err // it was cut off
	}
	return b.judge(result, limits)
}

// prepare checks the flags and completes the plan.
func (b *benching) prepare(cmd *cobra.Command) error {
	p := &b.plan
	p.Frame = b.wire.name
	if b.wire.declaration != "" {
		text, err := fileFlag("declaration", b.wire.declaration)
		if err != nil {
			return err
		}
		if _, err := b.wire.format(); err != nil { // names the file
			return err
		}
		p.Declaration = string(text)
	}
	p.TLS, p.ServerName = b.secure.wanted(), b.secure.name
	if err := b.files(); err != nil {
		return err
	}
	if err := b.consistent(cmd); err != nil {
		return err
	}
	if b.ramp != "" {
		from, to, err := parseRamp(b.ramp)
		if err != nil {
			return err
		}
		p.Steps = load.Ramp(from, to, b.steps, p.Duration/time.Duration(max(b.steps, 1)))
		if b.hold > 0 {
			p.Steps = append(p.Steps, load.Step{From: to, For: b.hold})
		}
		p.Duration += b.hold
	}
	if p.Request || p.Rate > 0 || len(p.Steps) > 0 || b.knee {
		p.Window = 0
	}
	if err := b.enough(cmd); err != nil {
		return err
	}
	first := p.inWorker(0)
	_, err := first.config(&b.secure)
	return err
}

// enough gives every worker something to do.
func (b *benching) enough(cmd *cobra.Command) error {
	p, given := &b.plan, cmd.Flags().Changed
	if !given("publishers") {
		p.Publishers = max(p.Publishers, b.crew.workers)
	}
	if !given("subscribers") {
		p.Subscribers = max(p.Subscribers, b.crew.workers)
	}
	switch n := b.crew.workers; {
	case p.Publishers < n || p.Subscribers > 0 && p.Subscribers < n:
		return usageError("%d publishers and %d subscribers for %d workers: each needs one of both, or --subscribers 0", p.Publishers, p.Subscribers, n)
	case n > 0 && len(p.Bytes) > 512<<10:
		return usageError("--payload-file: %d bytes are too many to tell workers, at most %d", len(p.Bytes), 512<<10)
	case n > 0 && b.secure.cert != "":
		return usageError("--cert and --cert-key are each worker's own: give them to weft bench --worker")
	}
	return nil
}

// files reads those that flags name.
func (b *benching) files() error {
	if b.templateAt != "" {
		text, err := fileFlag("template-file", b.templateAt)
		if err != nil {
			return err
		}
		b.plan.Template = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	}
	if b.payloadAt == "" {
		return nil
	}
	var err error
	b.plan.Bytes, err = fileFlag("payload-file", b.payloadAt)
	if err == nil && len(b.plan.Bytes) == 0 {
		err = usageError("--payload-file: %s is empty", b.payloadAt)
	}
	return err
}

// measure makes the run, or those of a search, here or by workers.
func (b *benching) measure(cmd *cobra.Command, sys system) (*load.Result, error) {
	ctx := cmd.Context()
	run := func(ctx context.Context, plan benchPlan) (*load.Result, error) {
		plan = plan.inWorker(0)
		cfg, err := plan.config(&b.secure)
		if err != nil {
			return nil, err
		}
		cfg.ServerPID = b.pid
		if sys.progress {
			cfg.Progress = cmd.ErrOrStderr()
		}
		result, err := load.Run(ctx, cfg)
		if err != nil && result != nil {
			return result, fail(exitRuntime, err, "Nothing is judged of a run that was cut off; the report is of what was measured until then.")
		}
		if err != nil {
			return nil, fail(exitRuntime, err, "Is a weft running there, and do the subscribers' patterns match the topics that its plugins make?")
		}
		return result, nil
	}
	if b.crew.workers > 0 {
		lead, err := b.crew.gather(cmd, b.plan.Timeout)
		if err != nil {
			return nil, err
		}
		defer lead.close()
		run = lead.run
	}
	if !b.knee {
		return run(ctx, b.plan)
	}
	search := load.Search{From: b.plan.Rate, To: b.most, Percent: 99, Limit: b.p99, Progress: cmd.ErrOrStderr()}
	if search.From == 0 {
		search.From = min(1000, b.most)
	}
	result, err := load.FindKnee(ctx, search, func(ctx context.Context, rate float64) (*load.Result, error) {
		plan := b.plan
		plan.Rate = rate
		return run(ctx, plan)
	})
	if err != nil {
		return nil, fail(exitCode(err), err, "")
	}
	return result, nil
}

// report prints what was found.
func (b *benching) report(cmd *cobra.Command, result *load.Result) error {
	if b.html != "" {
		if err := writeFile(b.html, result.WriteHTML); err != nil {
			return fail(exitRuntime, fmt.Errorf("--html: %w", err), "")
		}
		note(cmd, "the report is in %s", b.html)
	}
	result.WithoutHistograms()
	if b.json {
		text, err := result.JSON()
		if err != nil {
			return err
		}
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return result.WriteTable(cmd.OutOrStdout())
}

// judge holds what was found against what was asked for.
func (b *benching) judge(result *load.Result, limits []threshold) error {
	var broken []string
	for _, l := range limits {
		if text := l.broken(result); text != "" {
			broken = append(broken, text)
		}
	}
	if len(broken) > 0 {
		return fail(exitFailed, fmt.Errorf("thresholds: %s", strings.Join(broken, "; ")), "")
	}
	switch c, k := result.Checked, result.Knee; {
	case k != nil && k.Rate == 0:
		return fail(exitFailed, fmt.Errorf("even %.0f messages a second are not carried: %s", k.Above, k.Trials[0].Why), "--rate begins lower.")
	case c != nil && c.Failed > 0:
		return fail(exitFailed, fmt.Errorf("checks: %d of %d failed", c.Failed, c.Passed+c.Failed), "")
	case c != nil && c.Passed == 0 && b.plan.checking():
		return fail(exitFailed, fmt.Errorf("checks: nothing came that could be checked"), "")
	}
	return nil
}

// checking tells whether the plan says what to expect.
func (p *benchPlan) checking() bool {
	return p.Expect != "" || p.ExpectJSON != "" || p.ExpectSubset != "" || p.ExpectWithin > 0
}

// commandLine is the command without its secrets.
func commandLine(sys system) string {
	words, hide := []string{sys.program}, false
	for _, word := range sys.args {
		name, _, joined := strings.Cut(word, "=")
		secret := name == "--token" || name == "--key"
		switch {
		case hide:
			word = "..."
		case secret && joined:
			word = name + "=..."
		case strings.ContainsAny(word, " '\"{}#$&|<>*\\") || word == "":
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		hide = secret && !joined
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func writeFile(name string, write func(w io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error is what matters
		return err
	}
	return f.Close()
}
