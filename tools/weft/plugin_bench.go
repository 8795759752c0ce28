package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
)

// benchRow is what a message costs in batches of one size; --json prints it.
type benchRow struct {
	// Payload is the size of each in bytes, -1 for those of a sample.
	Payload  int     `json:"payload"`
	Batch    int     `json:"batch"`
	Messages uint64  `json:"messages"` // that were run
	Nanos    float64 `json:"ns"`       // a message, copying it in and out included
	Fuel     float64 `json:"fuel"`
	In       float64 `json:"bytes_in"`  // written into the guest's memory
	Out      float64 `json:"bytes_out"` // read out of its answers
	// Failed messages trapped, broke the contract or were answered by the policy.
	Failed uint64 `json:"failed"`
}

type pluginBench struct {
	with    setup
	from    string
	batches []int
	sizes   []int
	each    time.Duration
	json    bool
}

func pluginBenchCommand(sys system) *cobra.Command {
	b := pluginBench{batches: []int{1, 8, 64, 512}, sizes: []int{32, 128, 1024}}
	cmd := &cobra.Command{
		Use:   "bench FILE",
		Short: "Measures what a message costs in a plugin: time, fuel, bytes",
		Long: `Measures what a message costs in a plugin, metered as in weft, on this machine and one core: time, fuel, and the bytes that
go into and come out of the plugin's memory; by the size of the batch and of the payload. weft makes batches of what is there:
of one message when it has little to do.

Payloads are JSON, {"temperature":21.5,"pad":"..."}, unless a --sample says what to send.`,
		Example: `weft plugin bench limiter.wasm
weft plugin bench limiter.wasm --sample limiter/cases
weft plugin bench std:jwt-auth -c weft.yaml --plugin auth --sample traffic.jsonl
weft plugin bench limiter.wasm --batch 64 --payload 256,4096 --time 1s --json`,
		Args: arguments(1, 1, "the file of one module"),
		RunE: func(cmd *cobra.Command, args []string) error { return b.run(cmd, sys, args[0]) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().IntSliceVar(&b.batches, "batch", b.batches, "messages a batch, several separated by commas")
	cmd.Flags().IntSliceVar(&b.sizes, "payload", b.sizes, "bytes of payload, several separated by commas")
	cmd.Flags().StringVar(&b.from, "sample", "", "messages of case files (`PATH` of a folder or file) or of a recording")
	cmd.Flags().DurationVar(&b.each, "time", 200*time.Millisecond, "how long to measure each line of the table")
	b.with.flags(cmd)
	cmd.Flags().BoolVar(&b.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("payload", "sample")
	return cmd
}

const (
	maxBenchBatch = 4096
	maxBenchTime  = time.Minute
)

func (b *pluginBench) check() error {
	for _, n := range b.batches {
		if n < 1 || n > maxBenchBatch {
			return usageError("--batch %d: expected 1 to %d", n, maxBenchBatch)
		}
	}
	for _, n := range b.sizes {
		if n < 0 || n > 1<<20 {
			return usageError("--payload %d: expected 0 to %d", n, 1<<20)
		}
	}
	if b.each <= 0 || b.each > maxBenchTime {
		return usageError("--time %v: expected a time up to %v", b.each, maxBenchTime)
	}
	return nil
}

func (b *pluginBench) run(cmd *cobra.Command, sys system, file string) error {
	if err := b.check(); err != nil {
		return err
	}
	var s *sample
	wasm, err := readModule(file)
	if err == nil && b.from != "" {
		s, err = readSample(b.from)
	}
	if err != nil {
		return err
	}
	spec, err := b.with.spec(sys, file, wasm)
	if err != nil {
		return err
	}
	s.configure(&spec, &b.with)
	sizes := b.sizes
	if s != nil {
		sizes = []int{-1}
	}
	rows := []benchRow{}
	for _, size := range sizes {
		for _, batch := range b.batches {
			row, err := b.measure(cmd.Context(), spec, s, size, batch)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
	}
	show := printBench
	if b.json {
		show = func(w io.Writer, rows []benchRow) error { return json.NewEncoder(w).Encode(rows) }
	}
	if err := show(cmd.OutOrStdout(), rows); err != nil {
		return err
	}
	var failed, messages uint64
	for _, r := range rows {
		failed, messages = failed+r.Failed, messages+r.Messages
	}
	if failed > 0 {
		return fail(exitRuntime, fmt.Errorf("%d of %d messages failed: the figures are those of failing", failed, messages), "weft plugin test shows why.")
	}
	return nil
}

// measure runs batches of one size on a fresh instance.
func (b *pluginBench) measure(ctx context.Context, spec plugins.Spec, s *sample, size, batch int) (row benchRow, err error) {
	messages, listeners := benchMessages(s, size, max(batch, 64))
	t, err := newTrial(ctx, spec, listeners, plugins.EnvConfig{Clock: hostfuncs.SystemClock{}})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	at := 0
	turn := func() {
		t.batch.Reset()
		for left := batch; left > 0; {
			n := min(left, len(messages)-at)
			t.batch.Messages = append(t.batch.Messages, messages[at:at+n]...)
			at, left = (at+n)%len(messages), left-n
		}
		t.chain.Messages(&t.batch)
	}
	for warm := time.Now(); time.Since(warm) < b.each/10; {
		turn()
	}
	before, began, turns := t.plugin.Stats(), time.Now(), uint64(0)
	for time.Since(began) < b.each && ctx.Err() == nil {
		for range 1 + 256/batch { // looking at the clock is not to count
			turn()
			turns++
		}
	}
	took, after := time.Since(began), t.plugin.Stats()
	n := turns * uint64(batch)
	each := func(total uint64) float64 { return float64(total) / float64(n) }
	return benchRow{
		Payload: size, Batch: batch, Messages: n, Nanos: float64(took.Nanoseconds()) / float64(n), Fuel: each(after.Fuel - before.Fuel),
		In: each(after.Given - before.Given), Out: each(after.Answered - before.Answered), Failed: after.Policy - before.Policy,
	}, ctx.Err()
}

// benchMessages are those of the sample, or some with a payload of a size.
func benchMessages(s *sample, size, count int) ([]abi.Message, []string) {
	if s != nil {
		return s.messages, s.listeners
	}
	payloads := make([]byte, 0, size*count)
	messages := make([]abi.Message, count)
	for i := range messages {
		payloads = append(payloads, benchPayload(size)...)
		messages[i] = abi.Message{
			Session: uint64(i%16 + 1), Seq: uint64(i), Topic: []byte("bench/reading"), Time: time.Now().UnixNano(), Payload: payloads[i*size : (i+1)*size],
		}
	}
	return messages, []string{"bench"}
}

// benchPayload is JSON of an exact size, as far as JSON can be so short.
func benchPayload(size int) []byte {
	const full, short = `{"temperature":21.5,"pad":""}`, `{"temperature":2`
	text := []byte(full)
	switch {
	case size >= len(full):
		text = append(text[:len(full)-2], make([]byte, size-len(full))...)
		for i := len(full) - 2; i < len(text); i++ {
			text[i] = 'x'
		}
		return append(text, `"}`...)
	case size > len(short):
		text = append([]byte(short), make([]byte, size-len(short)-1)...)
		for i := len(short); i < len(text); i++ {
			text[i] = '1'
		}
		return append(text, '}')
	}
	text = make([]byte, size)
	for i := range text {
		text[i] = '1' // a number, at least
	}
	return text
}

func printBench(w io.Writer, rows []benchRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "payload\tbatch\tns\tfuel\tbytes in\tbytes out\tmessages/s\t\n")
	for _, r := range rows {
		payload := strconv.Itoa(r.Payload)
		if r.Payload < 0 {
			payload = "sample"
		}
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", payload, r.Batch, r.Nanos, r.Fuel, r.In, r.Out, 1e9/r.Nanos)
	}
	return t.Flush()
}
