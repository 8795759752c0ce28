package std_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

const (
	secret = "a key of thirty-two bytes or more"

	authConfig      = `{"algorithm":"HS256","key":"` + secret + `"}`
	normaliseConfig = `{"rename":{"temp":"temperature","t":"temperature","id":"truck"},
		"attributes":{"truck":"truck","temperature":"temperature"},
		"rules":[{"field":"temperature","above":8,"set":{"alarm":"high"}}],"invalid":"continue"}`
	routeConfig = `{"rules":[{"when":{"alarm":"high"},"emit":"alarm/{truck}"},{"topic":"truck/{truck}/telemetry"}],
		"defaults":{"truck":"{identity}"}}`

	// reading is 128 bytes of JSON as a truck writes them.
	reading = `{"temp":4.25,"lat":47.376887,"lon":8.541694,"speed":82.5,"door":"closed","compressor":true,"setpoint":4,"battery":97,"trip":51234}`
)

var coldChain = []use{
	{name: "jwt-auth", config: authConfig},
	{name: "json-filter", config: normaliseConfig},
	{name: "topic-router", config: routeConfig},
}

// load64 is a batch of 64 messages as a turn of a loop brings it: what each of
// the sessions has sent lies in one array, in runs of so many frames.
func load64(payload []byte, run int) []abi.Message {
	const count, header = 64, 9
	contexts := make([]abi.Attributes, 0, count/run)
	for i := range count / run {
		contexts = append(contexts, attrs("identity", fmt.Sprintf("truck-%d", i), "exp", fmt.Sprint(now+3600)))
	}
	topic := []byte("raw/trucks")
	frame := append(make([]byte, header), payload...)
	array := bytes.Repeat(frame, count)
	var messages []abi.Message
	for i := range count {
		at := i * len(frame)
		messages = append(messages, abi.Message{
			Session: uint64(i/run + 1), Seq: uint64(i), Topic: topic, Time: now * 1e9, Context: contexts[i/run],
			Frame: array[at : at+len(frame)], Payload: array[at+header : at+len(frame) : at+len(frame)],
		})
	}
	return messages
}

func payloads() map[string][]byte {
	return map[string][]byte{
		"opaque": bytes.Repeat([]byte{0xc5}, 128),
		"json":   []byte(reading),
		"alarm":  bytes.Replace([]byte(reading), []byte("4.25"), []byte("9.25"), 1),
	}
}

// BenchmarkChain is what a message costs in each plugin and in all three, by
// batches of 64.
func BenchmarkChain(b *testing.B) {
	chains := map[string][]use{"all": coldChain}
	for _, u := range coldChain {
		chains[u.name] = []use{u}
	}
	chains["rate-limit"] = []use{{name: "rate-limit", config: rateConfig}}
	for _, name := range []string{"jwt-auth", "json-filter", "topic-router", "rate-limit", "all"} {
		for _, kind := range []string{"opaque", "json", "alarm"} {
			for _, run := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/%s/run=%d", name, kind, run), func(b *testing.B) {
					s := newStage(b, chains[name]...)
					messages := load64(payloads()[kind], run)
					step := func() {
						s.batch.Reset()
						s.batch.Messages = append(s.batch.Messages, messages...)
						s.chain.Messages(&s.batch)
					}
					step()
					b.ReportAllocs()
					best := time.Hour
					for b.Loop() {
						began := time.Now()
						step()
						best = min(best, time.Since(began))
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/message")
					b.ReportMetric(float64(best.Nanoseconds())/float64(len(messages)), "best-ns/message")
				})
			}
		}
	}
}

// TestHotPathDoesNotAllocate runs the cold chain over batches of 64: the host
// allocates nothing once it has its memory.
func TestHotPathDoesNotAllocate(t *testing.T) {
	for kind, payload := range payloads() {
		s := newStage(t, coldChain...)
		messages := load64(payload, 4)
		allocs := testing.AllocsPerRun(50, func() {
			s.batch.Reset()
			s.batch.Messages = append(s.batch.Messages, messages...)
			s.chain.Messages(&s.batch)
		})
		if allocs > 0 {
			t.Errorf("%s: %.1f allocations a batch", kind, allocs)
		}
		for i, o := range s.batch.Outcomes {
			if o.Cause != plugins.CauseNone {
				t.Fatalf("%s: message %d: %+v %s", kind, i, o, o.Out)
			}
		}
	}
}

// TestOthersDoNotAllocate is the same for the plugins outside the cold chain, and
// for tokens. (Of what modbus-registers writes the host's store keeps a copy.)
func TestOthersDoNotAllocate(t *testing.T) {
	wire := []byte("\x20\x2a\x72\x07truck-7")
	for name, c := range map[string]struct {
		use     use
		payload []byte
	}{
		"rate-limit":  {use{name: "rate-limit", config: rateConfig}, nil},
		"over":        {use{name: "rate-limit", config: `{"rate":"1/h","over":"mark"}`}, nil},
		"registers":   {use{name: "modbus-registers", config: modbusConfig}, []byte{3, 0, 0, 0, 2}},
		"to-protobuf": {use{name: "json-to-protobuf", config: protobufConfig("t.All", "")}, []byte(`{"i64":"42","someText":"truck-7","many":[1,2]}`)},
		"to-json":     {use{name: "json-to-protobuf", config: protobufConfig("t.All", `,"direction":"to-json"`)}, wire},
		"hs256":       {use{name: "jwt-auth", config: authConfig}, []byte(token(secret, header, `{"sub":"truck-7"}`))},
		"rs256":       {use{name: "jwt-auth", config: `{"key":` + jwkOf(&rsaKey().PublicKey, "") + `}`}, []byte(rsaToken(t, rsaKey(), rsaHeader, `{"sub":"truck-7"}`))},
	} {
		s := newStage(t, c.use)
		messages := make([]abi.Message, 4)
		for i := range messages {
			messages[i] = abi.Message{Session: uint64(i + 1), Time: now * 1e9, Payload: c.payload, Attrs: attrs("unit", "1")}
		}
		allocs := testing.AllocsPerRun(20, func() {
			s.batch.Reset()
			s.batch.Messages = append(s.batch.Messages, messages...)
			s.chain.Messages(&s.batch)
		})
		if st := s.chain.Plugin(0).Stats(); allocs > 0 || st.Traps+st.Faults+st.Drops > 0 {
			t.Errorf("%s: %.1f allocations a batch, %+v", name, allocs, st)
		}
	}
}
