package transport_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftrun/weft/runtime/upstream"
	"github.com/weftrun/weft/runtime/upstream/transport"
)

// Retry-After is heeded with a code that means later, in seconds and as a date, up to a
// bound; nothing else is.
func TestRetryAfter(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, c := range []struct {
		code        int
		after       string
		bound       time.Duration
		least, most time.Duration // of the rest; 0: none
	}{
		{503, "20", time.Minute, 15 * time.Second, 20 * time.Second},
		{429, "3600", time.Minute, 50 * time.Second, time.Minute},
		{429, "99999999999999999999", time.Minute, 0, 0},
		{429, "18446744073709551615", time.Minute, 50 * time.Second, time.Minute},
		{503, date(30 * time.Second), time.Minute, 20 * time.Second, 30 * time.Second},
		{503, date(24 * time.Hour), time.Minute, 50 * time.Second, time.Minute},
		{503, date(-time.Hour), time.Minute, 0, 0},
		{503, "0", time.Minute, 0, 0},
		{503, "-5", time.Minute, 0, 0},
		{503, "soon", time.Minute, 0, 0},
		{503, "20", 0, 0, 0},
		{400, "20", time.Minute, 0, 0},
		{204, "20", time.Minute, 0, 0},
	} {
		t.Run(fmt.Sprint(c.code, " ", c.after), func(t *testing.T) {
			var asked atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Retry-After", c.after)
				w.WriteHeader(c.code)
			}))
			defer s.Close()
			h := httpTransport(t, func(o *transport.HTTPOptions) { o.Rest = c.bound })
			pool, err := upstream.New(upstream.Options{
				Name: "p", Members: []upstream.Endpoint{{Address: address(s)}}, Retry: upstream.Retry{Tries: 1}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			send := func() {
				_ = pool.Do(within(t, 20*time.Second), nil, func(ctx context.Context, m *upstream.Member) error {
					_, err := h.Send(ctx, m, request("x"))
					return err
				})
			}
			send()
			stats := pool.Stats().Members[0]
			if rests := c.most > 0; rests != (stats.Rests == 1) || rests == stats.Up {
				t.Fatalf("%+v", stats)
			}
			if rest := time.Until(stats.Resting); rest < c.least || rest > c.most {
				if c.most > 0 {
					t.Errorf("it rests %v", rest)
				}
			}
			send()
			if n := asked.Load(); (n == 1) != (c.most > 0) {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
