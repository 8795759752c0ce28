package server

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/engine"
	"github.com/weftrun/weft/runtime/router"
)

// subscriptions shows who gets what, as the API does.
type subscriptions struct{ server *Server }

// found is one subscription, as small as it can be: there may be millions.
type foundSubscription struct {
	pattern string
	by      router.Subscriber
}

// List implements admin.Subscriptions.
func (a subscriptions) List(q *weftv1.SubscriptionsListRequest, size int) (*weftv1.SubscriptionsListResponse, error) {
	s := a.server
	pattern := ""
	if q.GetPattern() != "" {
		if err := router.ValidatePattern(q.GetPattern()); err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalidPattern, err)
		}
		pattern = router.Canonical(q.GetPattern())
	}
	if q.GetTopic() != "" {
		if err := router.ValidateTopic([]byte(q.GetTopic())); err != nil {
			return nil, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
		}
	}
	session, named := a.session(q.GetSession())
	if q.GetSession() != "" && !named {
		return &weftv1.SubscriptionsListResponse{All: uint64(s.topics.Len())}, nil
	}
	page := newPage(int(q.GetSkip())+size, func(x, y foundSubscription) int {
		return cmp.Or(cmp.Compare(x.pattern, y.pattern), cmp.Compare(x.by.Session, y.by.Session), cmp.Compare(x.by.Identifier, y.by.Identifier))
	})
	out := &weftv1.SubscriptionsListResponse{}
	s.topics.Walk(func(p string, by router.Subscriber) bool {
		out.All++
		switch {
		case pattern != "" && p != pattern, named && by.Session != session:
		case q.GetTopic() != "" && !router.Matches(p, q.GetTopic()):
		default:
			out.Chosen++
			page.add(foundSubscription{p, by})
		}
		return true
	})
	for _, one := range page.from(int(q.GetSkip())) {
		out.Subscriptions = append(out.Subscriptions, s.showSubscription(&one))
	}
	return out, nil
}

// session is the id of a session by what people write; false if there is none.
func (a subscriptions) session(text string) (id uint64, ok bool) {
	if text == "" {
		return 0, false
	}
	if stay, ok := parseStay(text); ok {
		return stay, true
	}
	if id, ok := engine.ParseConnID(text); ok {
		return uint64(id), true
	}
	return a.server.sessions.Lookup([]byte(text))
}

func (s *Server) showSubscription(one *foundSubscription) *weftv1.Subscription {
	out := &weftv1.Subscription{Pattern: utf8(one.pattern), Kind: "session", Qos: uint32(one.by.Options.QoS())}
	switch id := one.by.Session; {
	case isFar(id):
		out.Kind = "node"
	case isAPI(id):
		out.Kind = "api"
	case isGroup(id):
		out.Kind = "queue"
	case isStay(id):
		out.Session = stayText(id)
	default:
		out.Session = engine.ConnID(id).String()
	}
	return out
}

// page keeps the first so many of any number, in order.
type page[T any] struct {
	most  int
	order func(a, b T) int
	list  []T
}

func newPage[T any](most int, order func(a, b T) int) *page[T] {
	return &page[T]{most: most, order: order}
}

// add takes one in. It sorts when it has twice what is wanted.
func (p *page[T]) add(one T) {
	if p.list = append(p.list, one); len(p.list) >= 2*p.most+1024 {
		p.cut()
	}
}

func (p *page[T]) cut() {
	slices.SortFunc(p.list, p.order)
	p.list = p.list[:min(len(p.list), p.most)]
}

// from is what is left behind the first skip.
func (p *page[T]) from(skip int) []T {
	p.cut()
	return p.list[min(skip, len(p.list)):]
}
