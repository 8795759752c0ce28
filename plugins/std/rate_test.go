package std_test

import (
	"fmt"
	"testing"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

const rateConfig = `{"rate":1000000,"burst":1000000}`

// TestRateSharedByInstances: with shared buckets two chains, as two loops have
// them, let through together what one of them would.
func TestRateSharedByInstances(t *testing.T) {
	for config, want := range map[string]int{
		`{"rate":1,"burst":10,"key":"all","shared":true}`: 10,
		`{"rate":1,"burst":10,"key":"all"}`:               20,
	} {
		one := newStage(t, use{name: "rate-limit", config: config})
		two := one.again()
		passed := 0
		for i := range 20 {
			for _, s := range []*stage{one, two} {
				b := s.run(abi.Message{Session: uint64(i + 1)}, abi.Message{Session: 99})
				for _, o := range b.Outcomes {
					if o.Verdict == abi.VerdictContinue {
						passed++
					}
				}
			}
		}
		if passed != want {
			t.Errorf("%s: %d passed, want %d", config, passed, want)
		}
	}
}

// TestRateManyKeys: a flood of keys neither fills the memory nor gives the one
// that is limited anything.
func TestRateManyKeys(t *testing.T) {
	s := newStage(t, use{name: "rate-limit", config: `{"rate":0.001,"burst":3,"key":"{who}","keys":64}`})
	passed := 0
	for round := range 200 {
		var batch []abi.Message
		for i := range 50 {
			batch = append(batch, abi.Message{Session: 1, Attrs: attrs("who", fmt.Sprintf("%d-%d", round, i))})
		}
		batch = append(batch, abi.Message{Session: 1, Attrs: attrs("who", "victim")})
		b := s.run(batch...)
		if b.Outcomes[50].Verdict == abi.VerdictContinue {
			passed++
		}
	}
	if passed > 3 {
		t.Errorf("%d messages of one key passed, want at most 3", passed)
	}
}

// TestRateSwap: another generation, with another limit too, goes on where the
// former one was.
func TestRateSwap(t *testing.T) {
	const slow, fast = `{"rate":0.1,"burst":10}`, `{"rate":1,"burst":20}`
	for _, c := range []struct {
		then string
		want int // of 30 messages after 7 under slow
	}{{slow, 3}, {fast, 13}, {`{"rate":0.1,"burst":2}`, 0}, {`{"rate":0.1,"burst":10,"key":"{topic}"}`, 10}} {
		s := newStage(t, use{name: "rate-limit", config: slow})
		passed := func(n int) (passed int) {
			for range n {
				if s.run(abi.Message{Session: 1, Topic: []byte("a")}).Outcomes[0].Verdict == abi.VerdictContinue {
					passed++
				}
			}
			return passed
		}
		if n := passed(7); n != 7 {
			t.Fatalf("%d passed", n)
		}
		from := s.chain.Plugin(0)
		next, err := load(t, s.env, use{name: "rate-limit", config: c.then})
		if err != nil {
			t.Fatal(err)
		}
		ready, err := next.Standby(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		swapped, err := s.chain.Swap(from, []*plugins.Standby{ready})
		if err != nil {
			t.Fatal(err)
		}
		swapped.Commit()
		if n := passed(30); n != c.want {
			t.Errorf("%s: %d passed, want %d", c.then, n, c.want)
		}
	}
}

func TestRateConfigErrors(t *testing.T) {
	with := func(more string) string { return `{"rate":1,` + more + `}` }
	refused(t, "rate-limit", map[string]string{
		`{}`:                      "rate: expected how many in a second",
		`{"rate":0}`:              "rate: expected how many in a second",
		`{"rate":-1}`:             "found -1",
		`{"rate":"1/d"}`:          `found "1/d"`,
		`{"rate":0.0001}`:         "found 0.0001",
		`{"rate":2000000000}`:     "found 2000000000",
		with(`"burst":0`):         "burst: expected a whole number from 1",
		with(`"key":"{a"`):        "key: a lone {",
		with(`"key":"{topic.0}"`): "key: {topic.0}: expected the number of a level",
		with(`"cost":"bit"`):      `cost: unknown value "bit"`,
		with(`"over":"pass"`):     `over: unknown value "pass"`,
		with(`"reply":"x"`):       "reply: is set, but over is drop",
		with(`"mark":{"a":"b"}`):  "mark: is set, but over is drop",
		with(`"keys":1`):          "keys: expected a whole number from 8",
		with(`"reason":""`):       "reason: expected 1 to 256 bytes",
		with(`"bursts":1`):        `bursts: unknown key, did you mean "burst"`,
		with(`"over":"mark","mark":{"a":"1","b":"2"}`): "mark: expected one attribute, found 2",
	})
}
