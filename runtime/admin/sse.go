package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// keepAlive is Options.KeepAlive's default.
const keepAlive = 15 * time.Second

// subscribeHTTP is GET /v1/subscribe?topic=PATTERN: Server-Sent Events
// (html.spec.whatwg.org, section 9.2). Events are subscribed, message, missed and
// end. A stream begins with what comes after it was opened: Last-Event-ID replays
// nothing.
func (s *messages) subscribeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := readQuery(r)
	var form form
	if err == nil {
		form, err = s.form(request.GetAs(), request.GetConverter())
	}
	var buffer int
	if err == nil {
		buffer, err = checkSubscribe(request)
	}
	if err != nil {
		s.failHTTP(w, r, err)
		return
	}
	ctx, sub, end, err := s.subscribe(r.Context(), request.GetPatterns(), buffer)
	if err != nil {
		s.failHTTP(w, r, drainCause(ctx, err))
		return
	}
	defer end()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	e := &events{control: http.NewResponseController(w), w: w}
	err = e.json("subscribed", struct {
		Patterns []string `json:"patterns"`
		Buffer   int      `json:"buffer"`
	}{request.GetPatterns(), buffer})
	if err == nil {
		err = s.events(ctx, sub, e, form)
	}
	if errors.Is(drainCause(ctx, err), ErrDraining) {
		_ = e.json("end", struct {
			Reason string `json:"reason"`
		}{"weft is shutting down"})
	}
	code := "ok"
	if !isGone(r.Context(), err) {
		code = "unavailable"
	}
	s.count(r, code)
}

// readQuery reads the parameters of a subscription.
func readQuery(r *http.Request) (*weftv1.SubscribeRequest, error) {
	out := &weftv1.SubscribeRequest{}
	for name, values := range r.URL.Query() {
		last := values[len(values)-1]
		switch name {
		case "topic":
			out.Patterns = values
		case "convert":
			out.Converter = last
		case "as":
			as, ok := weftv1.Encoding_value["ENCODING_"+strings.ToUpper(last)]
			if !ok {
				return nil, fmt.Errorf("%w: as: found %.40q, expected auto, bytes, text or json", ErrInvalidMessage, last)
			}
			out.As = weftv1.Encoding(as)
		case "buffer":
			n, err := strconv.ParseUint(last, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%w: buffer: found %.40q, expected 1 to %d", ErrInvalidMessage, last, maxBuffer)
			}
			out.Buffer = uint32(n)
		default:
			return nil, fmt.Errorf("%w: unknown parameter %.40q; expected topic (more than once if need be), as, convert or buffer", ErrInvalidMessage, name)
		}
	}
	return out, nil
}

// events writes what the subscription gets until either side ends it.
func (s *messages) events(ctx context.Context, sub Subscription, e *events, form form) error {
	missed := uint64(0)
	for {
		waiting, cancel := context.WithTimeout(ctx, s.keepAlive)
		d, err := sub.Next(waiting)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			if err := e.comment("keep-alive"); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if d.Missed > missed {
			s.missed.Add(d.Missed - missed)
			missed = d.Missed
			err = e.json("missed", struct {
				Missed uint64 `json:"missed"`
			}{missed})
		}
		if err == nil {
			err = e.message(form.message(d))
		}
		if err != nil {
			return err
		}
	}
}

// events writes an event stream.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
	last    uint64 // id of the last message
}

// message writes a message, in the JSON of the API, with an id that counts the
// stream's.
func (e *events) message(m *weftv1.Message) error {
	text, err := strictJSON("json").Marshal(m)
	if err != nil {
		return err
	}
	e.last++
	fmt.Fprintf(&e.buffer, "id: %d\nevent: message\ndata: %s\n\n", e.last, text)
	return e.flush()
}

func (e *events) json(kind string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Fprintf(&e.buffer, "event: %s\ndata: %s\n\n", kind, text)
	return e.flush()
}

func (e *events) comment(text string) error {
	fmt.Fprintf(&e.buffer, ": %s\n\n", text)
	return e.flush()
}

func (e *events) flush() error {
	defer e.buffer.Reset()
	if _, err := e.w.Write(e.buffer.Bytes()); err != nil {
		return err
	}
	return e.control.Flush()
}
