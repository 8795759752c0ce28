package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/filter"
)

// Status implements admin.FastPath.
func (f *fastPath) Status(context.Context) (*weftv1.FastPathStatusResponse, error) {
	have, limit := f.book.Entries()
	r := &weftv1.FastPathStatusResponse{Kernel: f.kernel != nil, Problem: f.problem, Entries: uint32(have), EntriesLimit: uint32(limit), Owners: map[string]uint32{}}
	for owner, n := range f.book.Owned() {
		if n > 0 {
			r.Owners[owner] = uint32(n)
		}
	}
	for _, by := range f.counts() {
		for i := range by.counts {
			c := &by.counts[i]
			for why := filter.Pass; why < filter.Reasons; why++ {
				if c.Packets[why] > 0 {
					r.Counts = append(r.Counts, &weftv1.FastPathCount{Listener: f.name(c.Listener), Reason: why.String(), Enforcer: by.enforcer, Packets: c.Packets[why], Bytes: c.Bytes[why]})
				}
			}
		}
	}
	if f.kernel == nil {
		return r, nil
	}
	if refused := f.refused.Load(); refused != nil {
		r.Problem = *refused
	}
	s := f.kernel.Status()
	r.Pin = s.Pin
	for _, a := range s.Interfaces {
		r.Interfaces = append(r.Interfaces, &weftv1.FastPathInterface{Name: a.Interface, Mode: a.Mode, Problem: a.Problem})
	}
	if f.cfg.Statistics {
		r.Cost = durationpb.New(s.Cost)
	}
	return r, nil
}

// List implements admin.FastPath.
func (f *fastPath) List(_ context.Context, q admin.FastPathQuery) (*weftv1.FastPathListResponse, error) {
	if err := f.book.CheckListener(q.Listener); err != nil {
		return nil, refusedRule(err)
	}
	rules, total := f.book.List(filter.Query{Owner: q.Owner, Listener: q.Listener, Source: q.Source, Limit: q.Size})
	r := &weftv1.FastPathListResponse{Total: uint32(total)}
	for i := range rules {
		r.Rules = append(r.Rules, showRule(&rules[i]))
	}
	return r, nil
}

func showRule(r *filter.Rule) *weftv1.FastPathRule {
	out := &weftv1.FastPathRule{Owner: r.Owner, Listener: r.Listener, Prefix: r.Prefix.String(), Action: "allow", Since: timestamppb.New(r.Since), Why: r.Why, Overruled: r.Overruled}
	switch {
	case r.Action == filter.Deny:
		out.Action = "deny"
	case r.Protect:
		out.Action = "protect"
	}
	if !r.Until.IsZero() {
		out.Until = timestamppb.New(r.Until)
	}
	return out
}

// Block implements admin.FastPath.
func (f *fastPath) Block(_ context.Context, source netip.Prefix, listeners []string, ttl time.Duration, why string) (*weftv1.FastPathBlockResponse, error) {
	r := filter.Rule{Owner: filter.OwnerOperator, Prefix: source, Action: filter.Deny, Why: why}
	if ttl > 0 {
		r.Until = time.Now().Add(ttl)
	}
	if len(listeners) == 0 {
		listeners = []string{""}
	}
	r.Since = time.Now()
	rules := make([]filter.Rule, 0, len(listeners))
	for _, name := range listeners {
		r.Listener = name
		rules = append(rules, r)
	}
	if err := f.book.SetAll(rules); err != nil {
		return nil, refusedRule(err)
	}
	out := &weftv1.FastPathBlockResponse{}
	for i := range rules {
		out.Rules = append(out.Rules, showRule(&rules[i]))
	}
	f.push()
	return out, nil
}

// refusedRule is the error of the API for one of the book.
func refusedRule(err error) error {
	if errors.Is(err, filter.ErrFull) || errors.Is(err, filter.ErrCeiling) {
		return fmt.Errorf("%w: %w", admin.ErrTooManyRules, err)
	}
	return fmt.Errorf("%w: %w", admin.ErrRule, err)
}

// Unblock implements admin.FastPath.
func (f *fastPath) Unblock(_ context.Context, source netip.Prefix, listener string) (*weftv1.FastPathUnblockResponse, error) {
	gone := f.book.Unblock(listener, source)
	if len(gone) == 0 {
		return nil, fmt.Errorf("%w: %s%s", admin.ErrNotBlocked, source, f.blockedBy(source))
	}
	f.push()
	out := &weftv1.FastPathUnblockResponse{}
	for i := range gone {
		out.Rules = append(out.Rules, showRule(&gone[i]))
	}
	if still := f.still(source); still != nil {
		out.Still = showRule(still)
	}
	return out, nil
}

// still is a rule that denies a source, the most precise one.
func (f *fastPath) still(source netip.Prefix) (found *filter.Rule) {
	deny := filter.Deny
	rules, _ := f.book.List(filter.Query{Source: source.Addr(), Action: &deny})
	for i := range rules {
		if r := &rules[i]; !r.Overruled && r.Prefix.Bits() <= source.Bits() && (found == nil || found.Prefix.Bits() <= r.Prefix.Bits()) {
			found = r
		}
	}
	return found
}

// blockedBy is what an operator is told who unblocks something else than is blocked.
func (f *fastPath) blockedBy(source netip.Prefix) string {
	still := f.still(source)
	switch {
	case still == nil:
		return ""
	case still.Owner == filter.OwnerConfig:
		return fmt.Sprintf("; the configuration denies %s: change it there, and reload", still.Prefix)
	}
	return fmt.Sprintf("; %s is blocked by %s", still.Prefix, still.Owner)
}

// Top implements admin.FastPath.
func (f *fastPath) Top(_ context.Context, size int) (*weftv1.FastPathTopResponse, error) {
	out := &weftv1.FastPathTopResponse{}
	for _, s := range f.top.Sources(size, time.Now()) {
		out.Sources = append(out.Sources, &weftv1.FastPathSource{Source: s.Source.String(), Listener: f.name(s.Listener), Reason: s.Reason.String(), Packets: s.Packets, Last: timestamppb.New(s.Last)})
	}
	for _, e := range f.top.Events() {
		out.Events = append(out.Events, &weftv1.FastPathEvent{
			At: timestamppb.New(e.At), Source: e.Source.String(), Listener: f.name(e.Listener), Reason: e.Reason.String(), Enforcer: e.Enforcer, Weight: uint64(e.Weight),
		})
	}
	return out, nil
}
