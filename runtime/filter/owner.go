package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The owners of rules that there always are. A plugin's is OwnerOfPlugin.
const (
	// OwnerConfig has the rules of the configuration.
	OwnerConfig = "config"
	// OwnerOperator has those that were set through the API.
	OwnerOperator = "operator"
	// OwnerFrame has the blocks of sources whose frames cannot be decoded.
	OwnerFrame = "policy:frame"
	// OwnerAuth has the blocks of sources that fail to authenticate.
	OwnerAuth = "policy:auth"
	// OwnerKept has the blocks of plugins and policies of an earlier process, which a
	// Keeper has kept.
	OwnerKept = "kept"
)

// OwnerOfPlugin is the owner of a plugin's rules.
func OwnerOfPlugin(name string) string { return "plugin:" + name }

// Why a rule is not taken. The error names the rule, what was found and what is possible.
var (
	// ErrRule is wrapped by what is wrong with the rule itself: no prefix, an end in the
	// past, an unknown listener.
	ErrRule = errors.New("filter: not a rule")
	// ErrCeiling is wrapped where the owner may not do so, or not as much or as long.
	ErrCeiling = errors.New("filter: beyond the ceiling")
	// ErrOverruled is wrapped where the rule would change nothing, since one of the
	// configuration or of an operator goes before it.
	ErrOverruled = errors.New("filter: overruled")
	// ErrFull is wrapped where the book has no room.
	ErrFull = errors.New("filter: too many rules")
)

// Ceiling is what an owner may do.
type Ceiling struct {
	// Rules is how many rules there may be of its own; 0 is none.
	Rules int
	// TTL is how long a rule may last; 0: as long as it likes, for ever too.
	TTL time.Duration
	// Allow lets it allow sources, too.
	Allow bool
	// Prefixes lets it name any prefix. Otherwise single sources only: an IPv4
	// address (/32), an IPv6 address (/128) or a /64.
	Prefixes bool
	// Listeners are those it may name; nil is all, and rules for all of them.
	Listeners []string
}

// DefaultPolicyRules is how many rules a policy of offenders may have by default.
const DefaultPolicyRules = 16384

// owner is one owner's account.
type owner struct {
	name    string
	author  Author
	ceiling Ceiling
	rules   int
}

func authorOf(name string) Author {
	switch name {
	case OwnerConfig:
		return ByConfig
	case OwnerOperator:
		return ByOperator
	}
	return ByRuntime
}

// check tells what of a rule is beyond the owner's ceiling, but for the number.
func (o *owner) check(r *Rule, now time.Time) error {
	c := &o.ceiling
	if r.Protect && o.author != ByConfig {
		return fmt.Errorf("%w: %s: only the configuration protects sources", ErrCeiling, o.name)
	}
	if r.Action == Allow && !c.Allow {
		return fmt.Errorf("%w: %s may not allow %s, only block", ErrCeiling, o.name, r.Prefix)
	}
	if !c.Prefixes && !single(r.Prefix) {
		return fmt.Errorf("%w: %s may not name %s: only a single source, an address or an IPv6 /64", ErrCeiling, o.name, r.Prefix)
	}
	if c.TTL > 0 && (r.Until.IsZero() || r.Until.Sub(now) > c.TTL) {
		return fmt.Errorf("%w: %s: %s for %s: at most %s", ErrCeiling, o.name, r.Prefix, howLong(r.Until, now), c.TTL)
	}
	if c.Listeners != nil && !slices.Contains(c.Listeners, r.Listener) {
		at := "all listeners"
		if r.Listener != "" {
			at = "listener " + r.Listener
		}
		return fmt.Errorf("%w: %s may not name %s: only %s", ErrCeiling, o.name, at, strings.Join(c.Listeners, ", "))
	}
	return nil
}

func howLong(until, now time.Time) string {
	if until.IsZero() {
		return "ever"
	}
	return until.Sub(now).Round(time.Second).String()
}

// single tells whether a prefix is one source.
func single(p netip.Prefix) bool {
	return p.IsSingleIP() || p.Addr().Is6() && p.Bits() == 64
}
