package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// FastPath is who may speak to listeners, as weft.v1.FastPath shows and changes it. What
// is returned is the caller's.
type FastPath interface {
	// Status tells where rules are enforced, and what was counted.
	Status(ctx context.Context) (*weftv1.FastPathStatusResponse, error)
	// List lists rules.
	List(ctx context.Context, q FastPathQuery) (*weftv1.FastPathListResponse, error)
	// Block denies a prefix at the listeners, at all if there are none, for a time, for
	// ever if it is 0. The error wraps ErrRule or ErrTooManyRules.
	Block(ctx context.Context, source netip.Prefix, listeners []string, ttl time.Duration, why string) (*weftv1.FastPathBlockResponse, error)
	// Unblock removes the blocks of a prefix; the error wraps ErrNotBlocked if there is
	// none.
	Unblock(ctx context.Context, source netip.Prefix, listener string) (*weftv1.FastPathUnblockResponse, error)
	// Top lists the sources of which most is dropped.
	Top(ctx context.Context, size int) (*weftv1.FastPathTopResponse, error)
}

// FastPathQuery chooses rules; empty fields choose all.
type FastPathQuery struct {
	Owner    string
	Listener string
	Source   netip.Addr
	Size     int
}

// What may be wrong with changes of rules.
var (
	// ErrRule is wrapped where a rule cannot be.
	ErrRule = errors.New("no such rule can be")
	// ErrTooManyRules is wrapped where there is no room for a rule.
	ErrTooManyRules = errors.New("there is no room for the rule")
	// ErrNotBlocked is wrapped where nothing blocks the prefix that is to be unblocked.
	ErrNotBlocked = errors.New("nothing blocks exactly this")
)

// Bounds of the lists.
const (
	maxRules       = 10_000
	defaultRules   = 1000
	maxSources     = 1000
	defaultSources = 20
	maxBlockTTL    = 10 * 365 * 24 * time.Hour
)

// fastPathService serves weft.v1.FastPath.
type fastPathService struct {
	path   FastPath
	logger *slog.Logger
}

// Status is the call of the same name.
func (s *fastPathService) Status(ctx context.Context, _ *connect.Request[weftv1.FastPathStatusRequest]) (*connect.Response[weftv1.FastPathStatusResponse], error) {
	return answered(ctx, s, func() (*weftv1.FastPathStatusResponse, error) { return s.path.Status(ctx) })
}

// List is the call of the same name.
func (s *fastPathService) List(ctx context.Context, r *connect.Request[weftv1.FastPathListRequest]) (*connect.Response[weftv1.FastPathListResponse], error) {
	q := FastPathQuery{Owner: r.Msg.GetOwner(), Listener: r.Msg.GetListener()}
	var err error
	if text := r.Msg.GetSource(); text != "" {
		if q.Source, err = netip.ParseAddr(text); err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("source %.80q: expected an address, such as 192.0.2.7", text))
		}
	}
	if q.Size, err = sizeOf(r.Msg.GetSize(), defaultRules, maxRules); err != nil {
		return nil, err
	}
	return answered(ctx, s, func() (*weftv1.FastPathListResponse, error) { return s.path.List(ctx, q) })
}

// Block is the call of the same name.
func (s *fastPathService) Block(ctx context.Context, r *connect.Request[weftv1.FastPathBlockRequest]) (*connect.Response[weftv1.FastPathBlockResponse], error) {
	m := r.Msg
	source, err := blockable(m.GetSource())
	if err != nil {
		return nil, err
	}
	ttl := m.GetTtl().AsDuration()
	if m.GetTtl().CheckValid() != nil && m.GetTtl() != nil || ttl < 0 || ttl > maxBlockTTL {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("ttl %s: expected 0, for ever, to ten years", ttl))
	}
	if n := len(m.GetListeners()); n > maxNames {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%d listeners, at most %d are allowed", n, maxNames))
	}
	return answered(ctx, s, func() (*weftv1.FastPathBlockResponse, error) {
		return s.path.Block(ctx, source, m.GetListeners(), ttl, m.GetWhy())
	})
}

// Unblock is the call of the same name.
func (s *fastPathService) Unblock(ctx context.Context, r *connect.Request[weftv1.FastPathUnblockRequest]) (*connect.Response[weftv1.FastPathUnblockResponse], error) {
	source, err := blockable(r.Msg.GetSource())
	if err != nil {
		return nil, err
	}
	return answered(ctx, s, func() (*weftv1.FastPathUnblockResponse, error) {
		return s.path.Unblock(ctx, source, r.Msg.GetListener())
	})
}

// Top is the call of the same name.
func (s *fastPathService) Top(ctx context.Context, r *connect.Request[weftv1.FastPathTopRequest]) (*connect.Response[weftv1.FastPathTopResponse], error) {
	size, err := sizeOf(r.Msg.GetSize(), defaultSources, maxSources)
	if err != nil {
		return nil, err
	}
	return answered(ctx, s, func() (*weftv1.FastPathTopResponse, error) { return s.path.Top(ctx, size) })
}

// answered makes a call's answer or its error.
func answered[T any](ctx context.Context, s *fastPathService, call func() (*T, error)) (*connect.Response[T], error) {
	r, err := call()
	switch {
	case errors.Is(err, ErrRule):
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, ErrTooManyRules):
		return nil, connect.NewError(connect.CodeResourceExhausted, err)
	case errors.Is(err, ErrNotBlocked):
		return nil, connect.NewError(connect.CodeNotFound, err)
	case err != nil:
		return nil, toConnect(ctx, s.logger, err)
	}
	return connect.NewResponse(r), nil
}

func sizeOf(asked uint32, otherwise, most int) (int, error) {
	if asked == 0 {
		return otherwise, nil
	}
	if asked > uint32(most) {
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("size %d: expected 1 to %d", asked, most))
	}
	return int(asked), nil
}

// blockable reads an address or a prefix of which nothing is left out.
func blockable(text string) (netip.Prefix, error) {
	p, err := parseSource(text)
	if strings.Contains(text, "%") {
		err = fmt.Errorf("source %.80q: addresses are filtered without a zone; leave %s out, or give the listener an address of one link", text, text[strings.IndexByte(text, '%'):])
	}
	if err == nil && p.IsValid() {
		if given, bad := netip.ParsePrefix(text); bad == nil && given.Addr().Unmap() != p.Addr().Unmap() {
			err = fmt.Errorf("source %s: it has bits behind its length; did you mean %s?", text, p)
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	if err == nil && (!p.IsValid() || strings.TrimSpace(text) == "") {
		err = errors.New("source: expected an address or a prefix, such as 192.0.2.7 or 2001:db8::/32")
	}
	if err != nil {
		return p, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return p, nil
}
