package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/delivery"
	"github.com/weftrun/weft/runtime/router"
)

// Routes implements admin.Routes.
func (s *Server) Routes() []*weftv1.Route {
	flowed := s.flowed()
	took := func(rule int) (sum uint64) {
		for listener := range flowed.listeners {
			sum += flowed.routed(listener, rule)
		}
		return sum
	}
	var list []*weftv1.Route
	cfg := flowed.setup.cfg
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		one := &weftv1.Route{
			Name: r.Name, When: conditions(&r.When), Chain: pluginsOf(r.Chain), Qos: uint32(r.QoS), Durable: r.Durable != nil, Messages: took(i),
		}
		for _, to := range r.To {
			text := to.To
			if to.Weight > 0 {
				text += fmt.Sprintf(" (weight %d)", to.Weight)
			}
			one.To = append(one.To, text)
		}
		list = append(list, one)
	}
	return append(list, &weftv1.Route{Name: "default", To: cfg.DefaultRoute, Default: true, Messages: took(byDefault)})
}

// conditions are what a route asks for, one a line.
func conditions(w *config.When) (list []string) {
	add := func(key, value string) {
		if value != "" {
			list = append(list, key+": "+value)
		}
	}
	add("topic", w.Topic)
	for _, name := range slices.Sorted(maps.Keys(w.Attributes)) {
		add("attribute "+name, w.Attributes[name])
	}
	if len(w.Attributes) > 1 {
		add("match", w.Match)
	}
	if p := w.Priority; p != nil {
		add("priority", fmt.Sprintf("%d-%d", p.Min, p.Max))
	}
	add("listener", w.Listener)
	add("type", w.Type)
	return list
}

// typesOf are the types of messages as the API names them.
var typesOf = map[weftv1.Type]abi.Type{
	weftv1.Type_TYPE_REQUEST: abi.TypeRequest, weftv1.Type_TYPE_RESPONSE: abi.TypeResponse, weftv1.Type_TYPE_ACK: abi.TypeAck,
}

// Explain implements admin.Routes. It asks the table that routes the real messages; no
// loop is asked, and no plugin.
func (s *Server) Explain(q *weftv1.RoutesExplainRequest) (*weftv1.RoutesExplainResponse, error) {
	now := s.setup()
	m := &abi.Message{Topic: []byte(q.GetTopic()), Listener: apiListener, Priority: uint8(q.GetPriority()), Type: typesOf[q.GetType()]}
	if err := router.ValidateTopic(m.Topic); err != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrInvalidMessage, err)
	}
	for _, name := range slices.Sorted(maps.Keys(q.GetAttributes())) {
		m.Attrs = m.Attrs.AppendString(name, q.GetAttributes()[name])
	}
	if name := q.GetListener(); name != "" && name != apiName {
		at, ok := now.index[name]
		if !ok {
			return nil, fmt.Errorf("%w: listener %.80q; the listeners are %v", admin.ErrUnknown, name, now.listening())
		}
		m.Listener = at
	}
	table := now.table
	var values placeholders
	values.set(now.nameOf(m.Listener), m)
	input := &router.Input{Message: m, Values: &values}
	candidates := table.Candidates(m.Topic, nil)
	choice := table.Route(input, candidates, nil)[0]
	out := &weftv1.RoutesExplainResponse{Default: choice.Rule < 0, Qos: uint32(choice.QoS)}
	if choice.Rule >= 0 {
		r := &now.cfg.Routes[choice.Rule]
		out.Route, out.Chain, out.Durable = r.Name, pluginsOf(r.Chain), r.Durable != nil
	}
	for i := range now.cfg.Routes {
		out.Asked = append(out.Asked, now.asked(i, choice.Rule, input, candidates))
	}
	receivers := uint32(0)
	for i := range choice.To {
		place := s.explainPlace(m, &choice.To[i])
		receivers += place.GetReceivers()
		out.Places = append(out.Places, place)
	}
	if receivers == 0 && !out.Durable && len(out.Places) > 0 {
		out.Dropped = out.Places[len(out.Places)-1].GetWhy()
	}
	return out, nil
}

// asked says whether a route would take the message, and why not.
func (s *setup) asked(rule, taken int, input *router.Input, candidates router.Candidates) *weftv1.ExplainedRoute {
	w := &s.cfg.Routes[rule].When
	one := &weftv1.ExplainedRoute{Route: s.cfg.Routes[rule].Name}
	switch one.Matches = s.table.Matches(rule, input.Message) && slices.Contains(candidates, uint16(rule)); {
	case one.Matches && taken >= 0 && rule > taken:
		one.Why = "an earlier one was taken"
	case one.Matches:
	case !slices.Contains(candidates, uint16(rule)):
		one.Why = "topic: " + w.Topic
	default:
		lines := slices.DeleteFunc(conditions(w), func(line string) bool { return strings.HasPrefix(line, "topic: ") })
		one.Why = strings.Join(lines, ", ")
	}
	return one
}

// explainPlace says who would get the message at a destination now.
func (s *Server) explainPlace(m *abi.Message, d *router.Destination) *weftv1.ExplainedPlace {
	place, name := &weftv1.ExplainedPlace{To: d.String()}, d.Name
	if d.Template != nil {
		var values placeholders
		values.set(s.setup().nameOf(m.Listener), m)
		text, err := d.Template.Append(nil, &values)
		if err != nil {
			place.Why = delivery.BadDestination.String() + ": " + err.Error()
			return place
		}
		name = text
		kind, _, _ := strings.Cut(d.String(), ":")
		place.To = utf8(kind + ":" + string(text))
	}
	count, why := s.receivers(m, d.Kind, name)
	place.Receivers = uint32(count)
	if count == 0 {
		place.Why = why.String()
	}
	return place
}

// receivers counts who is at a place now, and says why nobody is.
func (s *Server) receivers(m *abi.Message, kind abi.DestinationKind, name []byte) (int, delivery.Reason) {
	switch kind {
	case abi.ToSubscribers:
		topic := m.Topic
		if len(name) > 0 {
			topic = name
		}
		if router.ValidateTopic(topic) != nil {
			return 0, delivery.BadTopic
		}
		who := map[uint64]bool{}
		for _, by := range s.topics.Match(topic, nil) {
			who[by.Session] = true
		}
		return len(who), delivery.NoSubscriber
	case abi.ToNode:
		if _, ok := s.sessions.Lookup(name); ok {
			return 1, 0
		}
		return 0, delivery.NoNode
	case abi.ToAll:
		return s.sessions.Stats().Names, delivery.NoNode
	case abi.ToQueue:
		return s.sessions.Queue(name).Len(), delivery.NoMember
	case abi.ToUpstream:
		up := 0
		for _, p := range s.pools.List() {
			if p.GetName() == string(name) {
				for _, member := range p.GetMembers() {
					if member.GetUp() {
						up++
					}
				}
			}
		}
		return up, delivery.NoUpstream
	case abi.ToReply:
		return 1, 0
	case abi.ToDeadLetter:
		return 1, 0
	}
	return 0, delivery.BadDestination
}
