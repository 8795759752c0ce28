package admin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/life"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBus delivers to its subscriptions whatever is published; a pattern is a
// topic or "#".
type fakeBus struct {
	mu        sync.Mutex
	subs      map[*fakeSub]bool
	published []*abi.Message
	fail      error
}

type fakeSub struct {
	bus      *fakeBus
	patterns []string
	queue    chan *abi.Message
	missed   uint64
	ended    chan struct{}
	once     sync.Once
}

func (b *fakeBus) Publish(_ context.Context, m *abi.Message) (admin.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return admin.Receipt{}, b.fail
	}
	if string(m.Topic) == "panic" {
		panic("on purpose")
	}
	b.published = append(b.published, m)
	delivered := 0
	for s := range b.subs {
		for _, p := range s.patterns {
			if p == "#" || p == string(m.Topic) {
				if s.offer(m) {
					delivered++
				}
				break
			}
		}
	}
	if delivered == 0 {
		return admin.Receipt{Dropped: "no_subscribers"}, nil
	}
	return admin.Receipt{Delivered: delivered}, nil
}

func (s *fakeSub) offer(m *abi.Message) bool {
	select {
	case s.queue <- m:
		return true
	default:
		s.missed++
		return false
	}
}

func (b *fakeBus) Subscribe(_ context.Context, patterns []string, buffer int) (admin.Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	for _, p := range patterns {
		if strings.Contains(p, "#/") {
			return nil, fmt.Errorf("%w %q: '#' stands for the rest and comes last", admin.ErrInvalidPattern, p)
		}
	}
	s := &fakeSub{bus: b, patterns: patterns, queue: make(chan *abi.Message, buffer), ended: make(chan struct{})}
	b.subs[s] = true
	return s, nil
}

func (s *fakeSub) Next(ctx context.Context) (admin.Delivery, error) {
	select {
	case m := <-s.queue:
		s.bus.mu.Lock()
		defer s.bus.mu.Unlock()
		own := *m // as a real bus's, a delivery is the reader's own
		return admin.Delivery{Message: &own, Listener: "trucks", Missed: s.missed}, nil
	case <-s.ended:
		return admin.Delivery{}, admin.ErrEnded
	case <-ctx.Done():
		return admin.Delivery{}, ctx.Err()
	}
}

func (s *fakeSub) Close() {
	s.once.Do(func() {
		close(s.ended)
		s.bus.mu.Lock()
		defer s.bus.mu.Unlock()
		delete(s.bus.subs, s)
	})
}

func (b *fakeBus) setFail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

func (b *fakeBus) last() *abi.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.published) == 0 {
		return &abi.Message{}
	}
	return b.published[len(b.published)-1]
}

// rig is a running server with its bus.
type rig struct {
	bus    *fakeBus
	life   *life.Life
	server *admin.Server
	url    string
	log    *syncBuffer
}

func start(t *testing.T, change func(*admin.Options)) *rig {
	t.Helper()
	r := &rig{bus: &fakeBus{subs: map[*fakeSub]bool{}}, life: life.New(), log: &syncBuffer{}}
	o := admin.Options{Address: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(r.log, nil)), Bus: r.bus, Life: r.life}
	if change != nil {
		change(&o)
	}
	var err error
	if r.server, err = admin.New(o); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.server.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return r
}

// client speaks HTTP/1.1, or only HTTP/2 without TLS.
func client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{}, DialContext: (&net.Dialer{}).DialContext}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Request answers "re: " and the payload, but for a few topics.
func (b *fakeBus) Request(ctx context.Context, m *abi.Message) (admin.Delivery, error) {
	b.mu.Lock()
	fail := b.fail
	b.published = append(b.published, m)
	b.mu.Unlock()
	switch topic := string(m.Topic); {
	case fail != nil:
		return admin.Delivery{}, fail
	case topic == "nobody":
		return admin.Delivery{}, fmt.Errorf("%w: %q: no_subscriber", admin.ErrNobody, topic)
	case topic == "gone":
		return admin.Delivery{}, admin.ErrLost
	case topic == "slow":
		<-ctx.Done()
		return admin.Delivery{}, ctx.Err()
	}
	answer := &abi.Message{
		Topic: []byte("weft/reply/1"), Type: abi.TypeResponse, Payload: append([]byte("re: "), m.Payload...),
		Attrs: abi.Attributes(nil).AppendString("content_type", "text/x-test").AppendString("unit", "celsius").AppendString("evil", "a\r\nSet-Cookie: x"),
	}
	return admin.Delivery{Message: answer, Listener: "trucks"}, nil
}
