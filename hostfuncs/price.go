package hostfuncs

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

// Purse is the fuel of one plugin instance. The meter in a guest's code takes a
// small fixed price for a call into the host; what the host then does for the guest
// is paid from here, before it is done.
type Purse interface {
	// Pay takes so many units of fuel, and reports whether there were as many.
	Pay(units int64) bool
}

// ErrFuel is wrapped by the trap of a guest that calls the host and cannot pay.
var ErrFuel = errors.New("no fuel is left for a call of the host")

type purseKey struct{}

// WithPurse is the context that all calls of an instance's functions are made with.
// Without a purse the host works for nothing.
func WithPurse(ctx context.Context, p Purse) context.Context {
	return context.WithValue(ctx, purseKey{}, p)
}

// pay takes fuel from the caller, and ends its call if it has too little.
func pay(ctx context.Context, units int64) {
	if p, ok := ctx.Value(purseKey{}).(Purse); ok && !p.Pay(units) {
		panic(ErrFuel)
	}
}

// price is what a host function costs: base units, and each units for every eight that
// the parameter at index length counts (0: none does).
type price struct {
	base, each int64
	length     int
	most       uint32
	over       uint32 // what a length over most counts: 0 where it is refused at once, most where it is cut
}

// A unit is about 0.2 ns where the prices were measured. They are the time that a call
// takes on the fast path, rather more than less: plugins/hostile measures what a flood
// of calls takes against its budget.
const (
	priceCall   = 250 // whatever is called
	priceLog    = 1_000
	priceRandom = 500
	priceKV     = 900
	priceHTTP   = 20_000
	priceSource = 1_000
	priceFilter = 4_000

	priceURLByte   = 100   // http_send: a byte of the URL
	priceHTTPField = 1_700 // and a field of the header
	priceLine      = 600   // fd_write: a line that ends
)

func priceOf(name string) price {
	switch name {
	case "log":
		return price{priceLog, 16, 2, abi.MaxLog, abi.MaxLog}
	case "metric":
		return price{base: priceKV}
	case "random":
		return price{priceRandom, 100, 1, abi.MaxHostBytes, 0}
	case "random_get": // of WASI
		return price{priceRandom, 100, 1, abi.MaxHostBytes, 0}
	case "kv_set":
		return price{priceKV, 16, 3, abi.MaxKVValue, 0}
	case "kv_cas":
		return price{priceKV, 16, 4, abi.MaxKVValue, 0}
	case "kv_get", "kv_revision", "kv_delete", "kv_add":
		return price{base: priceKV}
	case "http_send":
		return price{priceHTTP, 16, 7, abi.MaxHTTPBody, 0}
	case "filter_source":
		return price{base: priceSource}
	case "filter_block", "filter_allow", "filter_unblock":
		return price{base: priceFilter}
	case "fd_write": // pays for its bytes as it sees them
		return price{priceLog, 8 * 100, 2, 1024, 1024}
	case "poll_oneoff":
		return price{priceCall, 8 * 100, 2, wasiPollIn, 0}
	}
	return price{base: priceCall}
}

// priced is the function with its price before it.
func priced(p price, fn api.GoModuleFunc) api.GoModuleFunc {
	if p.length == 0 {
		return func(ctx context.Context, m api.Module, stack []uint64) {
			pay(ctx, p.base)
			fn(ctx, m, stack)
		}
	}
	return func(ctx context.Context, m api.Module, stack []uint64) {
		n := uint32(stack[p.length])
		if n > p.most {
			n = p.over
		}
		pay(ctx, p.base+int64(n)*p.each/8)
		fn(ctx, m, stack)
	}
}
