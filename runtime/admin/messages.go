package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
)

const (
	defaultBuffer    = 1024
	maxBuffer        = 65536
	maxPatterns      = 1024
	maxSubscriptions = 1024
)

// messages serves weft.v1.Messages.
type messages struct {
	bus      Bus
	logger   *slog.Logger
	draining context.Context // done when the server shuts down
	open     atomic.Int64    // subscriptions
	missed   atomic.Uint64   // messages that subscriptions missed
	asking   atomic.Int64    // requests that wait
	calls    *prometheus.CounterVec
	// keepAlive is how often a quiet stream of events has a comment.
	keepAlive  time.Duration
	converters *converters
}

// Publish is the call of the same name.
func (s *messages) Publish(ctx context.Context, r *connect.Request[weftv1.PublishRequest]) (*connect.Response[weftv1.PublishResponse], error) {
	if r.Msg.Attributes == nil {
		r.Msg.Attributes = map[string]string{}
	}
	withTrace(r.Header(), r.Msg.Attributes)
	m, err := s.toMessage(r.Msg)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	receipt, err := s.bus.Publish(ctx, m)
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.PublishResponse{
		Accepted:  receipt.Dropped == "",
		Delivered: uint32(max(0, receipt.Delivered)),
		Dropped:   receipt.Dropped,
		Logged:    receipt.Logged,
	}), nil
}

var fromType = map[weftv1.Type]abi.Type{
	weftv1.Type_TYPE_UNSPECIFIED: abi.TypeEvent,
	weftv1.Type_TYPE_EVENT:       abi.TypeEvent,
	weftv1.Type_TYPE_REQUEST:     abi.TypeRequest,
	weftv1.Type_TYPE_RESPONSE:    abi.TypeResponse,
	weftv1.Type_TYPE_ACK:         abi.TypeAck,
}

// toMessage checks a request and turns it into a message that owns its bytes.
func (s *messages) toMessage(r *weftv1.PublishRequest) (*abi.Message, error) {
	kind, known := fromType[r.GetType()]
	switch topic := r.GetTopic(); {
	case topic == "":
		return nil, fmt.Errorf(`%w: the topic is empty; give one, such as "a/b"`, ErrInvalidMessage)
	case strings.ContainsAny(topic, "#+*\x00"):
		return nil, fmt.Errorf("%w: topic %.80q has a wildcard or NUL; wildcards are for patterns", ErrInvalidMessage, topic)
	case len(topic) > abi.MaxTopic:
		return nil, fmt.Errorf("%w: the topic has %d bytes, at most %d are allowed", ErrInvalidMessage, len(topic), abi.MaxTopic)
	case r.GetPriority() > abi.MaxPriority:
		return nil, fmt.Errorf("%w: priority %d, expected 0 to %d", ErrInvalidMessage, r.GetPriority(), abi.MaxPriority)
	case r.GetQos() > abi.MaxQoS:
		return nil, fmt.Errorf("%w: qos %d, expected 0 to %d", ErrInvalidMessage, r.GetQos(), abi.MaxQoS)
	case !known:
		return nil, fmt.Errorf("%w: type %d, expected an event, request, response or ack", ErrInvalidMessage, r.GetType())
	}
	attrs, err := toAttributes(r.GetAttributes())
	if err != nil {
		return nil, err
	}
	payload, err := toPayload(r)
	if err != nil {
		return nil, err
	}
	if payload, attrs, err = s.converted(r.GetConverter(), payload, attrs); err != nil {
		return nil, err
	}
	flags := abi.Flags(0)
	if r.GetRetain() {
		flags |= abi.FlagRetain
	}
	return &abi.Message{
		Flags:    flags,
		Seq:      r.GetSeq(),
		Time:     time.Now().UnixNano(),
		Type:     kind,
		Priority: uint8(r.GetPriority()),
		QoS:      uint8(r.GetQos()),
		Topic:    []byte(r.GetTopic()),
		Attrs:    attrs,
		Payload:  payload,
	}, nil
}

func toAttributes(values map[string]string) (abi.Attributes, error) {
	names := make([]string, 0, len(values))
	for name, value := range values {
		if name == "" || len(name) > abi.MaxAttribute || len(value) > abi.MaxAttribute {
			return nil, fmt.Errorf("%w: attribute %.40q: names are not empty, names and values have at most %d bytes", ErrInvalidMessage, name, abi.MaxAttribute)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	var attrs abi.Attributes
	for _, name := range names {
		attrs = attrs.AppendString(name, values[name])
	}
	if err := attrs.Validate(abi.MaxAttrs); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidMessage, err)
	}
	return attrs, nil
}

func toPayload(r *weftv1.PublishRequest) (payload []byte, err error) {
	switch body := r.GetBody().(type) {
	case *weftv1.PublishRequest_Payload:
		payload = body.Payload
	case *weftv1.PublishRequest_Text:
		payload = []byte(body.Text)
	case *weftv1.PublishRequest_Json:
		if payload, err = jsonBytes(body.Json); err != nil {
			return nil, err
		}
	}
	if len(payload) > abi.MaxPayload {
		return nil, fmt.Errorf("%w: the payload has %d bytes, at most %d are allowed", ErrInvalidMessage, len(payload), abi.MaxPayload)
	}
	return payload, nil
}

// Subscribe is the call of the same name.
func (s *messages) Subscribe(ctx context.Context, r *connect.Request[weftv1.SubscribeRequest], stream *connect.ServerStream[weftv1.SubscribeResponse]) error {
	form, err := s.form(r.Msg.GetAs(), r.Msg.GetConverter())
	if err != nil {
		return toConnect(ctx, s.logger, err)
	}
	buffer, err := checkSubscribe(r.Msg)
	if err != nil {
		return toConnect(ctx, s.logger, err)
	}
	ctx, sub, end, err := s.subscribe(ctx, r.Msg.GetPatterns(), buffer)
	if err != nil {
		return toConnect(ctx, s.logger, drainCause(ctx, err))
	}
	defer end()
	err = stream.Send(&weftv1.SubscribeResponse{Event: &weftv1.SubscribeResponse_Subscribed{
		Subscribed: &weftv1.Subscribed{Patterns: r.Msg.GetPatterns(), Buffer: uint32(buffer)},
	}})
	if err == nil {
		err = s.stream(ctx, sub, stream, form)
	}
	return toConnect(ctx, s.logger, drainCause(ctx, err))
}

// subscribe begins one of a bounded number of subscriptions. The context ends with a
// shutdown, and end gives everything back.
func (s *messages) subscribe(ctx context.Context, patterns []string, buffer int) (inner context.Context, sub Subscription, end func(), err error) {
	if s.open.Add(1) > maxSubscriptions {
		s.open.Add(-1)
		return ctx, nil, nil, fmt.Errorf("%w: %d subscriptions are open, which is the most; close one", ErrBusy, maxSubscriptions)
	}
	inner, cancel := s.untilDrain(ctx)
	if sub, err = s.bus.Subscribe(inner, patterns, buffer); err != nil {
		cancel()
		s.open.Add(-1)
		return inner, nil, nil, err
	}
	return inner, sub, func() { sub.Close(); cancel(); s.open.Add(-1) }, nil
}

// untilDrain is a context that ends with a shutdown, too.
func (s *messages) untilDrain(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.draining, func() { cancel(ErrDraining) })
	return ctx, func() { stop(); cancel(nil) }
}

// drainCause replaces the error that came of cancelling the call for a shutdown.
func drainCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrDraining) {
		return cause
	}
	return err
}

// stream sends what the subscription gets until either side ends it.
func (s *messages) stream(ctx context.Context, sub Subscription, stream *connect.ServerStream[weftv1.SubscribeResponse], form form) error {
	missed := uint64(0)
	for {
		d, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if d.Missed > missed {
			s.missed.Add(d.Missed - missed)
			missed = d.Missed
		}
		err = stream.Send(&weftv1.SubscribeResponse{
			Event:  &weftv1.SubscribeResponse_Message{Message: form.message(d)},
			Missed: d.Missed,
		})
		if err != nil {
			return err
		}
	}
}

func checkSubscribe(r *weftv1.SubscribeRequest) (buffer int, err error) {
	_, known := weftv1.Encoding_name[int32(r.GetAs())]
	switch {
	case len(r.GetPatterns()) == 0 || slices.Contains(r.GetPatterns(), ""):
		return 0, fmt.Errorf(`%w: give at least one pattern, and no empty one; "#" is every topic`, ErrInvalidPattern)
	case len(r.GetPatterns()) > maxPatterns:
		return 0, fmt.Errorf("%w: %d patterns, at most %d are allowed", ErrInvalidPattern, len(r.GetPatterns()), maxPatterns)
	case r.GetBuffer() > maxBuffer:
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("buffer %d, at most %d is allowed", r.GetBuffer(), maxBuffer))
	case !known:
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("encoding %d, expected auto, bytes, text or JSON", r.GetAs()))
	case r.GetBuffer() == 0:
		return defaultBuffer, nil
	}
	return int(r.GetBuffer()), nil
}

var toType = map[abi.Type]weftv1.Type{
	abi.TypeRequest:  weftv1.Type_TYPE_REQUEST,
	abi.TypeResponse: weftv1.Type_TYPE_RESPONSE,
	abi.TypeAck:      weftv1.Type_TYPE_ACK,
}

// message is a delivery as a subscriber sees it, in the form that it asked for.
func (f form) message(d Delivery) *weftv1.Message {
	m := d.Message
	payload, failure := f.convert(m)
	out := &weftv1.Message{
		Topic:    strings.ToValidUTF8(string(m.Topic), "\uFFFD"),
		Type:     weftv1.Type_TYPE_EVENT,
		Priority: uint32(m.Priority),
		Qos:      uint32(m.QoS),
		Seq:      m.Seq,
		Session:  m.Session,
		Listener: d.Listener,
	}
	if kind, ok := toType[m.Type]; ok {
		out.Type = kind
	}
	if m.Time != 0 {
		out.Time = timestamppb.New(time.Unix(0, m.Time))
	}
	for name, value := range m.Attrs.All() {
		if out.Attributes == nil {
			out.Attributes = make(map[string]string)
		}
		key := strings.ToValidUTF8(string(name), "\uFFFD")
		if _, first := out.Attributes[key]; !first {
			out.Attributes[key] = strings.ToValidUTF8(string(value), "\uFFFD")
		}
	}
	setBody(out, payload, f.as)
	out.ConversionError = failure
	return out
}
