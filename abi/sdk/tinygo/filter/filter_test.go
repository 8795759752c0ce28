package filter_test

import (
	"slices"
	"testing"

	weft "github.com/weftrun/weft/abi/sdk/tinygo"
	"github.com/weftrun/weft/abi/sdk/tinygo/filter"
	"github.com/weftrun/weft/abi/sdk/tinygo/wefttest"
)

// guard blocks whoever sends the topic bad, and does what other topics say.
type guard struct{}

func (guard) Init([]byte) error { return nil }

func (guard) Message(m *weft.Message) weft.Verdict {
	source := string(m.Payload())
	var ok bool
	var err error
	switch m.Topic() {
	case "bad":
		ok, err = filter.BlockSource(m, filter.Minute)
	case "block":
		err = filter.Block(source, filter.Minute)
	case "allow":
		err = filter.Allow(source, filter.Longest)
	case "unblock":
		ok, err = filter.Unblock(source)
	default:
		source, ok, err = filter.Source(m)
		if ok {
			return weft.Drop(source)
		}
	}
	switch {
	case err != nil:
		return weft.Drop(err.Error())
	case ok:
		return weft.Drop("yes")
	}
	return weft.Drop("no")
}

func TestFilter(t *testing.T) {
	guest, err := wefttest.New(guard{}, "{}")
	if err != nil {
		t.Fatal(err)
	}
	guest.SetSource(7, "2001:db8::7")
	for _, c := range []struct {
		session        uint64
		topic, payload string
		want           string
		rules          []wefttest.Rule
	}{
		{7, "bad", "", "yes", []wefttest.Rule{{Source: "2001:db8::7", TTL: 60000}}},
		{0, "bad", "", "no", []wefttest.Rule{{Source: "2001:db8::7", TTL: 60000}}},
		{9, "who", "", "192.0.2.9", []wefttest.Rule{{Source: "2001:db8::7", TTL: 60000}}},
		{9, "unblock", "2001:db8::7", "yes", nil},
		{9, "unblock", "2001:db8::7", "no", nil},
		{9, "block", "198.51.100.4:1883", "no", []wefttest.Rule{{Source: "198.51.100.4", TTL: 60000}}},
		{9, "allow", "198.51.100.4", "no", []wefttest.Rule{{Source: "198.51.100.4", Allow: true}}},
		{9, "block", "everybody", "invalid argument", []wefttest.Rule{{Source: "198.51.100.4", Allow: true}}},
		{9, "block", "0.0.0.0", "invalid argument", []wefttest.Rule{{Source: "198.51.100.4", Allow: true}}},
	} {
		out := guest.Message(wefttest.Input{Session: c.session, Topic: c.topic, Payload: c.payload})
		if out.Decision != wefttest.Drop(c.want) {
			t.Errorf("%s %s: %v, expected %s", c.topic, c.payload, out.Decision, c.want)
		}
		if got := guest.Rules(); !slices.Equal(got, c.rules) {
			t.Errorf("%s %s: rules %v, expected %v", c.topic, c.payload, got, c.rules)
		}
	}
}
