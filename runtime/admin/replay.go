package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/delivery"
)

const (
	defaultReplayRate = 100
	maxReplayRate     = 10000
	// maxReplayIDs bounds the ids of one call.
	maxReplayIDs = 100000
	// replayPage is how many letters are looked up at once.
	replayPage = 1000
	// busyWait is how long a replay waits for a loop that takes no more work.
	busyWait = 10 * time.Millisecond
)

// What became of a letter of a replay, beside the outcomes of ReplayResult.
const (
	replayRefused = "refused"
	replayGone    = "gone"
	replayReady   = "ready"
)

// Replay is the call of the same name.
func (s *deadLetters) Replay(ctx context.Context, r *connect.Request[weftv1.DeadLettersReplayRequest], stream *connect.ServerStream[weftv1.DeadLettersReplayResponse]) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	way, rate, err := toReplay(r.Msg)
	if err != nil {
		return err
	}
	ids, err := s.chosen(store, r.Msg)
	if err != nil {
		return toConnect(ctx, s.logger, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.draining, func() { cancel(ErrDraining) })()
	if !r.Msg.GetDryRun() {
		s.logger.Info("dead letters are replayed", "count", len(ids), "way", r.Msg.GetWay().String(), "topic", r.Msg.GetTopic(), "rate", rate)
	}
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	for i, id := range ids {
		var result *weftv1.DeadLettersReplayResponse
		if r.Msg.GetDryRun() {
			result = s.try(store, id, way)
		} else {
			if i > 0 {
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
			if ctx.Err() != nil {
				return toConnect(ctx, s.logger, drainCause(ctx, ctx.Err()))
			}
			if result, err = s.replayOne(ctx, store, id, way); err != nil {
				return toConnect(ctx, s.logger, drainCause(ctx, err))
			}
		}
		if err := stream.Send(result); err != nil {
			return err
		}
	}
	return nil
}

// toReplay checks how to replay.
func toReplay(r *weftv1.DeadLettersReplayRequest) (way ReplayWay, rate int, err error) {
	bad := func(format string, args ...any) (ReplayWay, int, error) {
		return ReplayWay{}, 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
	}
	switch r.GetWay() {
	case weftv1.ReplayWay_REPLAY_WAY_UNSPECIFIED, weftv1.ReplayWay_REPLAY_WAY_CHAIN:
	case weftv1.ReplayWay_REPLAY_WAY_PAST_PLUGINS:
		way.PastPlugins = true
	case weftv1.ReplayWay_REPLAY_WAY_TOPIC:
		if way.Topic = r.GetTopic(); way.Topic == "" {
			return bad("the topic is empty; give the one to publish to")
		}
	default:
		return bad("way %d, expected chain, past plugins or topic", r.GetWay())
	}
	if r.GetTopic() != "" && way.Topic == "" {
		return bad("a topic goes with the way topic only")
	}
	switch rate = int(r.GetRate()); {
	case rate == 0:
		rate = defaultReplayRate
	case rate > maxReplayRate:
		return bad("rate %d, at most %d letters a second are allowed", rate, maxReplayRate)
	}
	return way, rate, nil
}

// chosen is the ids of the letters to replay, the oldest first. Letters that
// arrive from now on are not among them: a letter that fails again does not go
// round in a circle.
func (s *deadLetters) chosen(store *delivery.DeadLetterStore, r *weftv1.DeadLettersReplayRequest) ([]uint64, error) {
	switch {
	case len(r.GetIds()) > 0 && r.GetFilter() != nil:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("give ids or a filter, not both"))
	case len(r.GetIds()) == 0 && r.GetFilter() == nil:
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("give ids or a filter; an empty filter is every letter"))
	case len(r.GetIds()) > maxReplayIDs:
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d ids, at most %d are allowed", len(r.GetIds()), maxReplayIDs))
	}
	ids := slices.Clone(r.GetIds())
	if r.GetFilter() != nil {
		filter, err := toFilter(r.GetFilter())
		if err != nil {
			return nil, err
		}
		for {
			page, _ := store.List(filter, replayPage)
			for _, l := range page {
				ids = append(ids, l.ID)
			}
			if len(page) < replayPage || page[len(page)-1].ID == 1 {
				break
			}
			filter.UpTo = page[len(page)-1].ID - 1
		}
		slices.Reverse(ids)
	}
	if n := int(r.GetLimit()); n > 0 && n < len(ids) {
		ids = ids[:n]
	}
	return ids, nil
}

// try says what a replay would do with a letter.
func (s *deadLetters) try(store *delivery.DeadLetterStore, id uint64, way ReplayWay) *weftv1.DeadLettersReplayResponse {
	l, err := store.Get(id)
	if err != nil {
		return &weftv1.DeadLettersReplayResponse{Id: id, Outcome: replayGone, Reason: err.Error()}
	}
	out := replayOf(l)
	out.Outcome = replayReady
	if err := s.letters.Check(l, way); err != nil {
		out.Outcome, out.Reason = replayRefused, err.Error()
	}
	return out
}

func replayOf(l *delivery.DeadLetter) *weftv1.DeadLettersReplayResponse {
	return &weftv1.DeadLettersReplayResponse{Id: l.ID, Topic: validText(l.Message.Topic), Plugin: l.Plugin}
}

// replayOne replays a letter. An error ends the whole replay.
func (s *deadLetters) replayOne(ctx context.Context, store *delivery.DeadLetterStore, id uint64, way ReplayWay) (*weftv1.DeadLettersReplayResponse, error) {
	l, err := store.Begin(id)
	if errors.Is(err, delivery.ErrReplaying) {
		return &weftv1.DeadLettersReplayResponse{Id: id, Outcome: replayRefused, Reason: err.Error()}, nil
	}
	if err != nil {
		return &weftv1.DeadLettersReplayResponse{Id: id, Outcome: replayGone, Reason: err.Error()}, nil
	}
	ended := false
	defer func() { // whatever happens: it can be replayed again
		if !ended {
			store.Cancel(id)
		}
	}()
	out := replayOf(l)
	result, err := s.letters.Replay(l, way)
	for errors.Is(err, ErrBusy) && ctx.Err() == nil {
		time.Sleep(busyWait)
		result, err = s.letters.Replay(l, way)
	}
	if err != nil {
		if !errors.Is(err, ErrNotReplayable) {
			return nil, err
		}
		out.Outcome, out.Reason = replayRefused, err.Error()
		return out, nil
	}
	out.Outcome, out.Reason, out.Copies, out.Removed = result.Outcome, result.Reason, uint32(max(result.Copies, 0)), result.Handled()
	said := result.Outcome
	if result.Reason != "" {
		said += ": " + result.Reason
	}
	store.End(id, result.Handled(), said)
	ended = true
	return out, nil
}
