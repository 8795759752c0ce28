package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const (
	defaultWait = 10 * time.Second
	maxWait     = 5 * time.Minute
	maxAsking   = 10_000
)

// errNoAnswer: the time is up.
var errNoAnswer = errors.New("no answer")

// Request is the call of the same name.
func (s *messages) Request(ctx context.Context, r *connect.Request[weftv1.RequestRequest]) (*connect.Response[weftv1.RequestResponse], error) {
	form, err := s.form(r.Msg.GetAs(), r.Msg.GetAnswerConverter())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	wait := defaultWait
	if r.Msg.Timeout != nil {
		wait = r.Msg.GetTimeout().AsDuration()
	}
	publish := &weftv1.PublishRequest{
		Topic: r.Msg.GetTopic(), Attributes: r.Msg.GetAttributes(), Type: weftv1.Type_TYPE_REQUEST,
		Priority: r.Msg.GetPriority(), Qos: r.Msg.GetQos(), Converter: r.Msg.GetConverter(),
	}
	switch body := r.Msg.GetBody().(type) {
	case *weftv1.RequestRequest_Payload:
		publish.Body = &weftv1.PublishRequest_Payload{Payload: body.Payload}
	case *weftv1.RequestRequest_Text:
		publish.Body = &weftv1.PublishRequest_Text{Text: body.Text}
	case *weftv1.RequestRequest_Json:
		publish.Body = &weftv1.PublishRequest_Json{Json: body.Json}
	}
	if publish.Attributes == nil {
		publish.Attributes = map[string]string{}
	}
	withTrace(r.Header(), publish.Attributes)
	m, err := s.toMessage(publish)
	if err == nil {
		var answer Delivery
		if answer, err = s.ask(ctx, m, wait); err == nil {
			return connect.NewResponse(&weftv1.RequestResponse{Message: form.message(answer)}), nil
		}
	}
	return nil, toConnect(ctx, s.logger, err)
}

// ask sends a request and waits for its answer. One of a bounded number.
func (s *messages) ask(ctx context.Context, m *abi.Message, wait time.Duration) (Delivery, error) {
	if wait <= 0 || wait > maxWait {
		return Delivery{}, fmt.Errorf("%w: timeout %s, expected more than 0 and at most %s", ErrInvalidMessage, wait, maxWait)
	}
	for _, name := range []string{AttrResponseTopic, AttrCorrelation} {
		if _, given := m.Attrs.Get(name); given {
			return Delivery{}, fmt.Errorf("%w: the attribute %s is weft's in a request: leave it out, or publish the message", ErrInvalidMessage, name)
		}
	}
	if s.asking.Add(1) > maxAsking {
		s.asking.Add(-1)
		return Delivery{}, fmt.Errorf("%w: %d requests wait for their answers, which is the most", ErrBusy, maxAsking)
	}
	defer s.asking.Add(-1)
	outer := ctx
	ctx, end := s.untilDrain(ctx)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	topic := string(m.Topic) // the message is the bus's from here on
	answer, err := s.bus.Request(ctx, m)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(context.Cause(ctx), ErrDraining):
		return Delivery{}, ErrDraining
	case errors.Is(err, context.DeadlineExceeded) && outer.Err() == nil:
		return Delivery{}, connect.NewError(connect.CodeDeadlineExceeded,
			fmt.Errorf("%w to %.80q within %s: who is asked answers to the topic in the attribute %s, or by its protocol's own way", errNoAnswer, topic, wait, AttrResponseTopic))
	}
	return Delivery{}, err
}
