package plugins_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/abi/vectors"
	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/internal/wasmtest"
)

// Where a stub of these tests keeps what it emits; below its buffer.
const (
	stubTopicAt  = 900
	stubEffectAt = 1024
	stubDump     = 32 << 10 // bytes of its buffer
)

var le = binary.LittleEndian

func records(t *testing.T) []vectors.Record {
	t.Helper()
	all, err := vectors.Records()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no records")
	}
	return all
}

// TestRecordsWritten: the host writes what the golden records say. The guest is a
// stub that emits its whole buffer.
func TestRecordsWritten(t *testing.T) {
	effect := make([]byte, abi.EffectSize)
	effect[abi.EffectKind] = byte(abi.EffectEmit)
	le.PutUint32(effect[abi.EffectTopic:], stubTopicAt)
	le.PutUint32(effect[abi.EffectTopic+4:], 3)
	le.PutUint32(effect[abi.EffectPayload:], wasmtest.BufferAt)
	le.PutUint32(effect[abi.EffectPayload+4:], stubDump)
	dump := wasmtest.Code(
		wasmtest.Get(0), wasmtest.I32(stubEffectAt), wasmtest.Store32(abi.RecordEffects),
		wasmtest.Get(0), wasmtest.I32(1), wasmtest.Store32(abi.RecordEffects+4))
	for _, r := range records(t) {
		if r.GuestOnly {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			stub := stubFor(r, dump).Data(stubTopicAt, []byte("raw")).Data(stubEffectAt, effect)
			_, b := callStub(t, r, stub)
			var written []byte
			for i, o := range b.Outcomes {
				if o.Emitted {
					written = b.Messages[i].Payload
				}
			}
			if len(written) != stubDump {
				t.Fatalf("the stub emitted %d bytes", len(written))
			}
			clear(written[abi.RecordEffects : abi.RecordEffects+8]) // the stub's own
			got := image{wasmtest.BufferAt, written}
			want := inputImage(r)
			for i, record := range r.Input.Records {
				g, w := got.input(written[i*abi.RecordSize:][:abi.RecordSize]), want.input(record)
				if g != w {
					t.Errorf("record %d:\n     got %s\nexpected %s", i, g, w)
				}
			}
		})
	}
}

// TestRecordsRead: the host makes of golden answers what the golden outcomes say.
// The guest is a stub that writes the answers.
func TestRecordsRead(t *testing.T) {
	for _, r := range records(t) {
		if r.GuestOnly {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			var code []byte
			for i, record := range r.Answer.Records {
				for at := 0; at < abi.RecordSize; at += 8 {
					code = wasmtest.Code(code, wasmtest.Get(0), wasmtest.I64(int64(le.Uint64(record[at:]))), wasmtest.Store64(i*abi.RecordSize+at))
				}
			}
			before, b := callStub(t, r, stubFor(r, code).Data(int32(r.Answer.At), r.Answer.Bytes))
			compareBatch(t, before, b, r.Call)
		})
	}
}

// stubFor is a guest that asks for what the record says and runs the code in the
// record's hook.
func stubFor(r vectors.Record, code []byte) *wasmtest.Module {
	m := wasmtest.New()
	m.Export(abi.ExportNeeds, wasmtest.Sig(":I"), wasmtest.I64(int64(r.Needs)))
	return m.Hook(abi.HookExport(hookOf(r)), code)
}

func hookOf(r vectors.Record) abi.Hook {
	if r.Call.Hook == 0 {
		return abi.HookMessages
	}
	return abi.Hook(r.Call.Hook)
}

// callStub hands the record's messages to the stub.
func callStub(t *testing.T, r vectors.Record, stub *wasmtest.Module) (before []abi.Message, b *plugins.Batch) {
	t.Helper()
	grants := effectGrants("#")
	grants.Clock = &hostfuncs.ClockGrant{}
	p := load(t, newEnv(t, plugins.EnvConfig{}), stub, plugins.Spec{
		Tick: conformanceTick, Grants: grants,
	})
	c := newChain(t, p)
	b = &plugins.Batch{}
	now := time.Unix(0, vectors.Wall)
	c.Tick(b, now.Add(-conformanceTick), 0)
	b.Reset()
	for _, m := range r.Call.Messages {
		b.Messages = append(b.Messages, conformanceMessage(m))
	}
	before = append(before, b.Messages...)
	switch hookOf(r) {
	case abi.HookMessages:
		c.Messages(b)
	case abi.HookOpen:
		c.Open(b)
	case abi.HookClose:
		c.CloseSessions(b)
	case abi.HookTick:
		c.Tick(b, now, 0)
	}
	return before, b
}

// image is a part of a guest's memory.
type image struct {
	at    uint32
	bytes []byte
}

func inputImage(r vectors.Record) image {
	var all []byte
	for _, record := range r.Input.Records {
		all = append(all, record...)
	}
	return image{r.Input.At, append(all, r.Input.Bytes...)}
}

// span is what the span at an offset of a record points to.
func (m image) span(record []byte, offset int) string {
	at, length := le.Uint32(record[offset:])-m.at, le.Uint32(record[offset+4:])
	if length == 0 {
		return ""
	}
	if uint64(at)+uint64(length) > uint64(len(m.bytes)) {
		return fmt.Sprintf("outside: 0x%x+%d", at+m.at, length)
	}
	return string(m.bytes[at : at+length])
}

// input describes a record that the host filled in: every byte, but for spans
// what they point to.
func (m image) input(record []byte) string {
	var s strings.Builder
	rest := bytes.Clone(record)
	for _, offset := range []int{abi.RecordTopic, abi.RecordAttrs, abi.RecordContext, abi.RecordPayload, abi.RecordListener, abi.RecordAnswer} {
		fmt.Fprintf(&s, "%d: %q ", offset, m.span(record, offset))
		clear(rest[offset : offset+4])
	}
	return fmt.Sprintf("%s\n%x", s.String(), rest)
}

// answer describes what a record says that a guest answered.
func (m image) answer(record []byte) string {
	var s strings.Builder
	verdict, changes := abi.Verdict(le.Uint32(record[abi.RecordVerdict:])), abi.Changes(le.Uint32(record[abi.RecordChanges:]))
	fmt.Fprintf(&s, "%s %q changes %b", verdict, m.span(record, abi.RecordOut), changes)
	if verdict == abi.VerdictPause {
		fmt.Fprintf(&s, " token %d", le.Uint64(record[abi.RecordToken:]))
	}
	spans := []int{abi.RecordTopic, abi.RecordAttrs, abi.RecordContext, abi.RecordPayload}
	for bit, offset := range spans {
		if changes>>bit&1 == 1 {
			fmt.Fprintf(&s, " %d: %q", offset, m.span(record, offset))
		}
	}
	if changes&abi.ChangedSeq != 0 {
		fmt.Fprintf(&s, " seq %d", le.Uint64(record[abi.RecordSeq:]))
	}
	if changes&(abi.ChangedType|abi.ChangedPriority|abi.ChangedQoS) != 0 {
		fmt.Fprintf(&s, " numbers %x", record[abi.RecordType:abi.RecordQoS+1])
	}
	m.effects(&s, record)
	return s.String()
}

func (m image) effects(s *strings.Builder, record []byte) {
	for n := range le.Uint32(record[abi.RecordEffects+4:]) {
		at := uint64(le.Uint32(record[abi.RecordEffects:])-m.at) + uint64(n)*abi.EffectSize
		if at+abi.EffectSize > uint64(len(m.bytes)) {
			fmt.Fprintf(s, "\n  effects outside")
			return
		}
		effect := bytes.Clone(m.bytes[at : at+abi.EffectSize])
		fmt.Fprintf(s, "\n  effect")
		for _, offset := range []int{abi.EffectTopic, abi.EffectAttrs, abi.EffectPayload} {
			fmt.Fprintf(s, " %q", m.span(effect, offset))
			clear(effect[offset : offset+4])
		}
		fmt.Fprintf(s, " %x", effect)
	}
}
