package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"go.uber.org/goleak"
)

var discard = slog.New(slog.DiscardHandler)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoints are n members a, b, c...; their weights are 1, or what is given.
func endpoints(n int, weights ...int) []Endpoint {
	e := make([]Endpoint, n)
	for i := range e {
		e[i] = Endpoint{Address: fmt.Sprintf("10.0.%d.%d:80", i/250, i%250), Weight: 1}
		if i < len(weights) {
			e[i].Weight = weights[i]
		}
	}
	return e
}

func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	o.Name, o.Logger = "p", discard
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run starts the pool until the test, or its bubble, ends.
func run(t testing.TB, p *Pool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func pick(t testing.TB, p *Pool, key string) *Member {
	t.Helper()
	m, err := p.Pick([]byte(key), nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func member(p *Pool, address string) *Member {
	for _, m := range p.Members() {
		if m.Address() == address {
			return m
		}
	}
	return nil
}

// end takes one call to the member.
func end(t testing.TB, m *Member, outcomes ...Outcome) {
	t.Helper()
	for _, o := range outcomes {
		c, err := m.Begin()
		if err != nil {
			t.Fatal(err)
		}
		c.End(o)
	}
}

func repeat(o Outcome, n int) []Outcome {
	s := make([]Outcome, n)
	for i := range s {
		s[i] = o
	}
	return s
}
