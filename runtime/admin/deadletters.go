package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// deadLetters serves weft.v1.DeadLetters.
type deadLetters struct {
	letters  DeadLetters
	logger   *slog.Logger
	draining context.Context // done when the server shuts down
}

var errNotKept = connect.NewError(connect.CodeFailedPrecondition, errors.New("this weft keeps no dead letters: dead_letter.keep is 0"))

// store is the store, or the error for calls where there is none.
func (s *deadLetters) store() (*delivery.DeadLetterStore, error) {
	if store := s.letters.Store(); store != nil {
		return store, nil
	}
	return nil, errNotKept
}

// List is the call of the same name.
func (s *deadLetters) List(ctx context.Context, r *connect.Request[weftv1.DeadLettersListRequest]) (*connect.Response[weftv1.DeadLettersListResponse], error) {
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	filter, err := toFilter(r.Msg.GetFilter())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	page := filter
	if token := r.Msg.GetPageToken(); token != "" {
		if page.UpTo, err = strconv.ParseUint(token, 10, 64); err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("page token %.40q: expected the one that the page before gave", token))
		}
	}
	size := int(r.Msg.GetPageSize())
	switch {
	case size == 0:
		size = defaultPage
	case size > maxPage:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("page size %d, at most %d is allowed", size, maxPage))
	}
	list, _ := store.List(page, size+1)
	out := &weftv1.DeadLettersListResponse{Displaced: store.Stats().Evicted, Lost: s.letters.Lost()}
	for i, l := range list {
		if i == size {
			out.NextPageToken = strconv.FormatUint(l.ID, 10)
			break
		}
		out.Letters = append(out.Letters, fromLetter(l, false, weftv1.Encoding_ENCODING_UNSPECIFIED))
	}
	for _, g := range store.Groups(filter) {
		out.Total += uint32(g.Count)
		out.Groups = append(out.Groups, &weftv1.DeadLetterGroup{
			Cause: g.Cause, Plugin: g.Plugin, Generation: g.Generation, Count: uint32(g.Count), First: toTime(g.First), Last: toTime(g.Last),
		})
	}
	return connect.NewResponse(out), nil
}

// Get is the call of the same name.
func (s *deadLetters) Get(ctx context.Context, r *connect.Request[weftv1.DeadLettersGetRequest]) (*connect.Response[weftv1.DeadLettersGetResponse], error) {
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	if _, known := weftv1.Encoding_name[int32(r.Msg.GetAs())]; !known {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("encoding %d, expected auto, bytes, text or JSON", r.Msg.GetAs()))
	}
	l, err := store.Get(r.Msg.GetId())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(&weftv1.DeadLettersGetResponse{Letter: fromLetter(l, true, r.Msg.GetAs())}), nil
}

// Delete is the call of the same name.
func (s *deadLetters) Delete(_ context.Context, r *connect.Request[weftv1.DeadLettersDeleteRequest]) (*connect.Response[weftv1.DeadLettersDeleteResponse], error) {
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	if len(r.Msg.GetIds()) == 0 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("give at least one id; Purge removes by a filter"))
	}
	n := store.Delete(r.Msg.GetIds())
	s.logger.Info("dead letters deleted", "count", n)
	return connect.NewResponse(&weftv1.DeadLettersDeleteResponse{Deleted: uint32(n)}), nil
}

// Purge is the call of the same name.
func (s *deadLetters) Purge(ctx context.Context, r *connect.Request[weftv1.DeadLettersPurgeRequest]) (*connect.Response[weftv1.DeadLettersPurgeResponse], error) {
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	filter, err := toFilter(r.Msg.GetFilter())
	if err != nil {
		return nil, toConnect(ctx, s.logger, err)
	}
	if filter == (delivery.DeadLetterFilter{}) && !r.Msg.GetAll() {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the filter is empty and would remove every letter; set all to true if that is meant"))
	}
	n := store.Purge(filter)
	s.logger.Info("dead letters purged", "count", n, "plugin", filter.Plugin, "cause", filter.Cause, "topic", filter.Topic, "listener", filter.Listener)
	return connect.NewResponse(&weftv1.DeadLettersPurgeResponse{Deleted: uint32(n)}), nil
}

// toFilter checks a filter.
func toFilter(f *weftv1.DeadLetterFilter) (delivery.DeadLetterFilter, error) {
	out := delivery.DeadLetterFilter{
		Plugin: f.GetPlugin(), Cause: f.GetCause(), Topic: f.GetTopic(), Listener: f.GetListener(), Generation: f.GetGeneration(),
	}
	if f.GetSince() != nil {
		out.Since = f.GetSince().AsTime().UnixNano()
	}
	if f.GetUntil() != nil {
		out.Until = f.GetUntil().AsTime().UnixNano()
	}
	if err := out.Validate(); err != nil {
		return out, fmt.Errorf("%w: %w", ErrInvalidPattern, err)
	}
	return out, nil
}

// fromLetter is a letter as a client sees it; whole includes its bytes.
func fromLetter(l *delivery.DeadLetter, whole bool, as weftv1.Encoding) *weftv1.DeadLetter {
	m := l.Message
	out := &weftv1.DeadLetter{
		Id: l.ID, Time: toTime(l.Time), Cause: l.Cause, Text: l.Text, Plugin: l.Plugin, Generation: l.Generation,
		Hook: l.Hook, Listener: l.Listener,
		PayloadSize: uint32(len(m.Payload)), FrameSize: uint32(len(m.Frame)),
		Attempts: uint32(max(l.Attempts, 0)), LastResult: l.LastResult,
		Context: fromAttributes(m.Context),
	}
	if l.Remote.IsValid() {
		out.Remote = l.Remote.String()
	}
	if whole {
		out.Frame = m.Frame
	} else {
		m.Payload = nil
	}
	out.Message = form{as: as}.message(Delivery{Message: &m, Listener: l.Listener})
	if !whole {
		out.Message.Body = nil
	}
	return out
}

// fromAttributes is an attribute block as a map; of a name that is there twice
// the first value.
func fromAttributes(block abi.Attributes) map[string]string {
	var out map[string]string
	for name, value := range block.All() {
		if out == nil {
			out = make(map[string]string)
		}
		key := validText(name)
		if _, there := out[key]; !there {
			out[key] = validText(value)
		}
	}
	return out
}

// validText is bytes as a text whose invalid bytes are replaced.
func validText(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func toTime(nanoseconds int64) *timestamppb.Timestamp {
	if nanoseconds == 0 {
		return nil
	}
	return timestamppb.New(time.Unix(0, nanoseconds))
}
