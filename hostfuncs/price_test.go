package hostfuncs

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// purse counts what is paid.
type purse struct{ paid, most int64 }

func (p *purse) Pay(units int64) bool {
	p.paid += units
	return p.paid <= p.most
}

// TestPrices: every function has a price, which grows with the bytes that it is about,
// and who cannot pay does not get it.
func TestPrices(t *testing.T) {
	cost := func(name string, stack ...uint64) int64 {
		p := &purse{most: 1 << 60}
		priced(priceOf(name), func(context.Context, api.Module, []uint64) {})(WithPurse(t.Context(), p), nil, stack)
		return p.paid
	}
	for _, im := range abi.Imports {
		if cost(im.Name, make([]uint64, 16)...) < priceCall {
			t.Errorf("%s costs nothing", im.Name)
		}
	}
	for _, c := range []struct {
		name        string
		few, many   []uint64
		grows, same bool
	}{
		{name: "kv_set", few: []uint64{0, 1, 0, 1, 0}, many: []uint64{0, 1, 0, 1 << 20, 0}, grows: true},
		{name: "kv_set", few: []uint64{0, 1, 0, 0, 0}, many: []uint64{0, 1, 0, 1<<32 - 1, 0}, same: true}, // refused
		{name: "random", few: []uint64{0, 1}, many: []uint64{0, 1 << 20}, grows: true},
		{name: "log", few: []uint64{0, 0, 8 << 10}, many: []uint64{0, 0, 1<<32 - 1}, same: true}, // cut
		{name: "poll_oneoff", few: []uint64{0, 0, 1}, many: []uint64{0, 0, 4096}, grows: true},
	} {
		few, many := cost(c.name, c.few...), cost(c.name, c.many...)
		if c.grows && many < 100*few/2 || c.same && many != few {
			t.Errorf("%s: %d for %v, %d for %v", c.name, few, c.few, many, c.many)
		}
	}
	called := false
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, ErrFuel) || called {
			t.Errorf("who cannot pay: called %v, %v", called, err)
		}
	}()
	priced(priceOf("random"), func(context.Context, api.Module, []uint64) { called = true })(WithPurse(t.Context(), &purse{}), nil, []uint64{0, 1})
}
