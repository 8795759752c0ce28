package tracing_test

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weftrun/weft/runtime/tracing"
	"github.com/weftrun/weft/runtime/tracing/otlptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The cases are those of the specification's sections 3.2 and 4.
func TestParents(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c, ok := tracing.ParseParent([]byte(good))
	if !ok || c.Trace.String() != "0af7651916cd43dd8448eb211c80319c" || c.Span.String() != "b7ad6b7169203331" || !c.Sampled {
		t.Fatalf("%s is read as %+v, %v", good, c, ok)
	}
	if again := tracing.AppendParent(nil, c); string(again) != good {
		t.Errorf("it is written as %s", again)
	}
	for text, want := range map[string]bool{
		strings.TrimSuffix(good, "1") + "0":      true,
		strings.TrimSuffix(good, "01") + "ff":    true,
		"cc" + good[2:]:                          true,
		"cc" + good[2:] + "-what-the-future-has": true,
		"cc" + good[2:] + ".what":                false,
		good + "-more":                           false,
		"ff" + good[2:]:                          false,
		good[:54]:                                false,
		"":                                       false,
		strings.ToUpper(good):                    false,
		strings.Replace(good, "-b7", "_b7", 1):   false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01": false,
	} {
		if _, ok := tracing.ParseParent([]byte(text)); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

// What is read is written again as it was, and nothing makes it fail.
func FuzzParent(f *testing.F) {
	f.Add([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	f.Add([]byte("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := tracing.ParseParent(b)
		if !ok {
			return
		}
		written := tracing.AppendParent(nil, c)
		if again, ok := tracing.ParseParent(written); !ok || again != c || string(written[3:53]) != string(b[3:53]) {
			t.Errorf("%q is written as %q", b, written)
		}
	})
}

func exporter(t *testing.T, o tracing.Options) *tracing.Exporter {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Delay == 0 {
		o.Delay = time.Millisecond
	}
	e, err := tracing.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func some(steps int) *tracing.Message {
	m := tracing.NewMessage()
	m.Trace, m.Span, m.Begin, m.End = tracing.NewID(), tracing.NewSpanID(), 1, 2
	for range steps {
		m.Step(tracing.Step{Plugin: "p", Verdict: "continue", Begin: 1, End: 2})
	}
	return m
}

// Both protocols bring all spans there, with the headers.
func TestExport(t *testing.T) {
	for _, protocol := range []string{tracing.HTTP, tracing.GRPC} {
		t.Run(protocol, func(t *testing.T) {
			r := otlptest.Start(t)
			e := exporter(t, tracing.Options{Endpoint: r.URL, Protocol: protocol, Service: "s", Batch: 16, Headers: http.Header{"X-Team": {"one"}}})
			for range 40 {
				e.Offer([]*tracing.Message{some(2), some(0)})
			}
			r.Await(t, 160, func(s otlptest.Span) bool { return s.Service == "s" })
			e.Close()
			if st := e.Stats(); st.Sent != 160 || st.Waiting != 0 || st.NoRoom+st.Refused+st.Failed+st.Ended != 0 {
				t.Errorf("%+v", st)
			}
			if h := r.Requests()[0]; h.Get("X-Team") != "one" {
				t.Errorf("the headers: %v", h)
			}
		})
	}
}

// A receiver that is busy is asked again, for as long as it says; one that refuses is not.
func TestAnswers(t *testing.T) {
	for _, protocol := range []string{tracing.HTTP, tracing.GRPC} {
		t.Run(protocol, func(t *testing.T) {
			answer := func(n int) (int, string, int64) {
				switch n {
				case 1, 2:
					return http.StatusServiceUnavailable, "0", 0
				case 4:
					return http.StatusBadRequest, "", 0
				case 5:
					return http.StatusOK, "", 1
				}
				return http.StatusOK, "", 0
			}
			r := otlptest.StartAnswering(t, answer)
			e := exporter(t, tracing.Options{Endpoint: r.URL, Protocol: protocol, Batch: 1})
			e.Offer([]*tracing.Message{some(1), some(2), some(3)})
			r.Await(t, 2+4, nil)
			e.Close()
			if st := e.Stats(); st.Sent != 2+3 || st.Refused != 3+1 || st.Retries != 2 || st.Requests != 5 || st.Failed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// What finds no room is dropped as a whole and counted, and who offers does not wait.
func TestTheQueueIsBounded(t *testing.T) {
	held, asked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r := otlptest.StartAnswering(t, func(int) (int, string, int64) {
		once.Do(func() { close(asked) })
		<-held
		return http.StatusOK, "", 0
	})
	e := exporter(t, tracing.Options{Endpoint: r.URL, Queue: 10, Batch: 2})
	e.Offer([]*tracing.Message{some(1)})
	<-asked
	for range 100 {
		e.Offer([]*tracing.Message{some(1)})
	}
	if st := e.Stats(); st.Waiting > 10 || st.NoRoom != 200-8 {
		t.Errorf("%+v", st)
	}
	close(held)
	r.Await(t, 10, nil)
}

// Nobody there: what cannot be brought there is counted, and closing does not hang.
func TestNobodyIsThere(t *testing.T) {
	r := otlptest.Start(t)
	url := r.URL
	r.Close()
	e := exporter(t, tracing.Options{Endpoint: url, Tries: 2})
	e.Offer([]*tracing.Message{some(1)})
	for e.Stats().Failed == 0 {
		time.Sleep(time.Millisecond)
	}
	far := exporter(t, tracing.Options{Endpoint: url, Tries: 100, Delay: time.Hour, Batch: 1})
	far.Offer([]*tracing.Message{some(0)})
	far.Close()
	if st := far.Stats(); st.Ended+st.Failed != 1 || st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

// A message's record is bounded, and says what was left out.
func TestMessagesAreBounded(t *testing.T) {
	r := otlptest.Start(t)
	e := exporter(t, tracing.Options{Endpoint: r.URL})
	m := some(100)
	for range 100 {
		m.Place(tracing.Place{To: "subscribers", Copies: 2})
	}
	m.Topic = tracing.Text([]byte(strings.Repeat("x", 1000)))
	m.Reason = "bad \xff bytes"
	e.Offer([]*tracing.Message{m})
	got := r.Await(t, 65, nil)
	if len(got) != 65 {
		t.Errorf("%d spans", len(got))
	}
	for _, s := range got {
		if s.ParentID() == "" && (s.Attribute("weft.copies") != "200" || len(s.Attribute("messaging.destination.name")) != 256 || s.DroppedAttributesCount != 36+68) {
			t.Errorf("%v", s)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, at := range []string{"", "localhost:4318", "ftp://x", "http://"} {
		if _, err := tracing.New(tracing.Options{Endpoint: at, Logger: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%q is an endpoint", at)
		}
	}
}
