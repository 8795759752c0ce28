package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/hostile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What one guest may take. The figures leave room for a busy machine and for the
// race detector; what a guest is meant to take lies far below.
const (
	loadWithin  = 20 * time.Second // to be loaded, or refused
	turnWithin  = 2 * time.Second  // of one turn of a loop
	turnUsually = 60 * time.Millisecond
	memoryMost  = 512 << 20 // resident, over what there was before
)

// TestCorpus loads every guest into the real host, makes it show what it is, and
// looks at what becomes of its neighbours.
func TestCorpus(t *testing.T) {
	if guests := hostile.Corpus(); len(guests) < 35 {
		t.Fatalf("%d guests", len(guests))
	}
	for _, g := range hostile.Corpus() {
		t.Run(g.Name, func(t *testing.T) {
			goroutines, resident := runtime.NumGoroutine(), residentBytes(t)
			runOne(t, g)
			await(t, func() bool { return runtime.NumGoroutine() <= goroutines })
			if now := residentBytes(t); now-resident > memoryMost {
				t.Errorf("%d MiB more are resident afterwards", (now-resident)>>20)
			}
		})
	}
}

func runOne(t *testing.T, g hostile.Guest) {
	s := &stage{T: t, guest: g}
	env, err := plugins.NewEnv(plugins.EnvConfig{FuelPerMicrosecond: 5000, Logger: slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := env.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	s.plugin, err = env.Load(t.Context(), plugins.Spec{Name: "hostile", Wasm: g.Wasm(), Grants: g.Grants, Memory: g.Memory, CPU: g.CPU, Tick: time.Nanosecond})
	took := time.Since(began)
	t.Logf("loading took %v: %v", took.Round(time.Microsecond), short(err))
	if took > loadWithin {
		t.Errorf("loading took %v", took)
	}
	if g.Fate == hostile.Refused {
		s.refused(err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	chain, err := plugins.NewChain(t.Context(), []string{"listener"}, s.plugin)
	if err != nil {
		t.Fatal(err)
	}
	s.chain = chain
	s.show()
	s.says(s.log.String())
	stats := s.plugin.Stats()
	if c := g.Counts; c.Of != nil && c.Of(stats) == 0 && g.On != hostile.Swap {
		t.Errorf("%s is 0: %+v", c.Name, stats)
	}
	if g.Fate == hostile.Harmless && stats.Traps+stats.Faults+stats.Policy > 0 {
		t.Errorf("failures: %+v, log: %s", stats, s.log.String())
	}
	if err := chain.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := s.plugin.Stats().Instances; n != 0 {
		t.Errorf("%d instances are left", n)
	}
	t.Logf("longest turn %v of %d", s.longest.Round(time.Microsecond), s.turns)
	if s.longest > turnWithin {
		t.Errorf("a turn took %v", s.longest)
	}
}

// stage is where a guest appears.
type stage struct {
	*testing.T
	guest   hostile.Guest
	plugin  *plugins.Plugin
	chain   *plugins.Chain
	log     lines
	longest time.Duration
	turns   int
	session uint64
}

// refused checks the error that Load gave.
func (s *stage) refused(err error) {
	if err == nil {
		s.Fatal("it was loaded")
	}
	if !errors.Is(err, s.guest.Error) {
		s.Errorf("%v: expected %v", short(err), s.guest.Error)
	}
	s.says(err.Error())
	readable(s.T, err.Error())
}

func (s *stage) says(text string) {
	for _, words := range s.guest.Says {
		if !strings.Contains(text, words) && !strings.Contains(text, strings.Trim(strconv.Quote(words), `"`)) {
			s.Errorf("it is not said that %q: %.2000s", words, text)
		}
	}
}

// readable checks a text that people read in a terminal: of bounded length, without
// what moves the cursor.
func readable(t *testing.T, text string) {
	t.Helper()
	if len(text) > 16<<10 {
		t.Errorf("the text has %d bytes: %.300q...", len(text), text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0x202e }); i >= 0 {
		t.Errorf("the text has a control character at %d: %.300q", i, text)
	}
}

// show makes the guest show what it is.
func (s *stage) show() {
	switch s.guest.On {
	case hostile.Messages:
		s.messages()
	case hostile.AllMessages:
		b := s.batch("fine", "fine")
		s.turn(func() { s.chain.Messages(b) })
		s.failed(b, 0)
		s.failed(b, 1)
	case hostile.Open:
		b := s.batch("", "")
		s.turn(func() { s.chain.Open(b) })
		s.failed(b, 0)
		s.failed(b, 1)
	case hostile.Close:
		b := s.batch("", "")
		s.turn(func() { s.chain.CloseSessions(b) })
	case hostile.Tick:
		for range 5 {
			b := &plugins.Batch{}
			s.turn(func() { s.chain.Tick(b, time.Now(), 0) })
		}
	case hostile.Swap:
		s.swap()
	}
	if s.guest.On != hostile.AllMessages {
		s.neighbours()
	}
}

// messages hands the guest its poison, between neighbours that must not notice.
func (s *stage) messages() {
	s.plugin.Stats()
	for n := range max(s.guest.After, 1) {
		b := s.batch("fine", "!", "fine")
		s.turn(func() { s.chain.Messages(b) })
		for _, i := range []int{0, len(b.Messages) - 1} {
			if o := b.Outcomes[i]; o.Verdict != abi.VerdictContinue || o.Cause != plugins.CauseNone || string(b.Messages[i].Payload) != "fine" {
				s.Fatalf("message %d of batch %d: %q, %+v, log: %s", i, n, b.Messages[i].Payload, o, s.log.String())
			}
		}
		if s.guest.Fate == hostile.Harmless {
			continue
		}
		if s.guest.Recovers {
			if o := b.Outcomes[1]; o.Cause != plugins.CauseNone {
				s.Fatalf("batch %d: %+v: it should go through, log: %s", n, o, s.log.String())
			}
			if s.guest.Counts.Of(s.plugin.Stats()) > 0 {
				break
			}
			continue
		}
		s.failed(b, 1)
	}
	for range 30 { // over and over, from sessions that nobody has seen before
		b := s.batch("fine", "!", "!", "fine")
		s.turn(func() { s.chain.Messages(b) })
	}
}

// neighbours checks that messages which are nobody's poison go through, if need be
// after the plugin has rested.
func (s *stage) neighbours() {
	await(s.T, func() bool {
		b := s.batch("fine", "fine")
		s.turn(func() { s.chain.Messages(b) })
		o := b.Outcomes[1]
		return o.Verdict == abi.VerdictContinue && o.Cause == plugins.CauseNone
	})
}

// swap puts another instance of the guest in the place of the first.
func (s *stage) swap() {
	ready, err := s.plugin.Standby(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.turn(func() {
		_, err = s.chain.Swap(s.plugin, []*plugins.Standby{ready})
	})
	fmt.Fprint(&s.log, err)
	if !errors.Is(err, s.guest.Error) {
		s.Errorf("the swap: %v: expected %v", err, s.guest.Error)
	}
}

func (s *stage) failed(b *plugins.Batch, i int) {
	s.Helper()
	o := b.Outcomes[i]
	if o.Verdict != abi.VerdictDrop || o.Cause != s.guest.Cause {
		s.Errorf("message %d: %+v: expected to be dropped with cause %v, log: %s", i, o, s.guest.Cause, s.log.String())
	}
}

// batch makes messages, each of a session of its own.
func (s *stage) batch(payloads ...string) *plugins.Batch {
	b := &plugins.Batch{}
	for _, p := range payloads {
		s.session++
		b.Messages = append(b.Messages, abi.Message{Session: s.session, Seq: s.session, Topic: []byte("hostile/test"), Payload: []byte(p)})
	}
	return b
}

// turn runs what a loop does in one turn, and times it.
func (s *stage) turn(run func()) {
	began := time.Now()
	run()
	s.longest = max(s.longest, time.Since(began))
	s.turns++
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func short(err error) string {
	if err == nil {
		return "no error"
	}
	return fmt.Sprintf("%.400q", err.Error())
}

// await waits for what takes its time elsewhere.
func await(t *testing.T, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// residentBytes is what of the process is in memory; 0 where the system does not tell.
func residentBytes(t *testing.T) int64 {
	runtime.GC()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
