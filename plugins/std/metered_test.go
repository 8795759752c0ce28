package std_test

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
)

var overhead = flag.Bool("overhead", false, "measure what metering costs (TestMetered)")

// bareStage is newStage without metering.
func bareStage(tb testing.TB, uses ...use) *stage {
	tb.Helper()
	env, err := plugins.NewEnv(plugins.EnvConfig{CacheDir: compiled, Unmetered: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := env.Close(tb.Context()); err != nil {
			tb.Error(err)
		}
	})
	s := &stage{tb: tb, env: env}
	var loaded []*plugins.Plugin
	for _, u := range uses {
		p, err := load(tb, env, u)
		if err != nil {
			tb.Fatal(err)
		}
		loaded = append(loaded, p)
	}
	s.chain = newChain(tb, loaded)
	return s
}

// TestMetered: a plugin's answers are the same metered and bare. With -overhead it
// prints what metering costs:
//
//	go test ./plugins/std -run TestMetered -v -overhead
func TestMetered(t *testing.T) {
	uses := append(slices.Clone(coldChain), use{name: "rate-limit", config: rateConfig},
		use{name: "modbus-registers", config: modbusConfig}, use{name: "json-to-protobuf", config: protobufConfig("t.All", "")})
	var table strings.Builder
	var sum, count float64
	for _, u := range uses {
		metered, bare := newStage(t, u), bareStage(t, u)
		for _, kind := range []string{"opaque", "json", "alarm"} {
			messages := load64(payloads()[kind], 4)
			for range 3 {
				a, b := answers(metered, messages), answers(bare, messages)
				if a != b {
					t.Errorf("%s, %s: metered %s\nbare %s", u.name, kind, a, b)
				}
			}
			if *overhead {
				ratio, ns := compareTimes(metered, bare, messages)
				sum, count = sum+math.Log(ratio), count+1
				fmt.Fprintf(&table, "%-18s %-8s %8.0f ns a message bare, metered %.2f times\n", u.name, kind, ns, ratio)
			}
		}
	}
	if *overhead {
		mean := math.Exp(sum / count)
		t.Logf("\n%sgeometric mean %.3f", table.String(), mean)
		if mean > 1.15 {
			t.Errorf("%.3f times bare in the mean: the goal is 1.15", mean)
		}
	}
}

// answers is everything that became of the messages, as text.
func answers(s *stage, messages []abi.Message) string {
	s.tb.Helper()
	b := s.run(messages...)
	var text strings.Builder
	for _, m := range b.Messages {
		came := m.Came
		m.Came = nil // its place in memory says nothing
		fmt.Fprintf(&text, "%+v ", m)
		if came != nil {
			fmt.Fprintf(&text, "came %+v ", *came)
		}
	}
	fmt.Fprintf(&text, "%+v", b.Outcomes)
	return text.String()
}

// compareTimes gives the median ratio of a batch's time, and the time bare.
func compareTimes(metered, bare *stage, messages []abi.Message) (ratio, ns float64) {
	once := func(s *stage) float64 {
		begun := time.Now()
		for range 20 {
			s.batch.Reset()
			s.batch.Messages = append(s.batch.Messages, messages...)
			s.chain.Messages(&s.batch)
		}
		return float64(time.Since(begun)) / float64(20*len(messages))
	}
	var ratios, times []float64
	for range 31 {
		one := once(bare)
		ratios, times = append(ratios, once(metered)/one), append(times, one)
	}
	slices.Sort(ratios)
	slices.Sort(times)
	return ratios[len(ratios)/2], times[len(times)/2]
}
