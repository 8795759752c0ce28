package hostfuncs

import (
	"context"
	"io"

	"github.com/tetratelabs/wazero/api"

	"github.com/weftrun/weft/abi"
)

type randomFuncs struct{ source io.Reader }

func (f *randomFuncs) register(r *registrar) {
	r.add("random", func(_ context.Context, m api.Module, stack []uint64) {
		stack[0] = result(f.fill(m, stack[0], stack[1]))
	})
}

func (f *randomFuncs) fill(m api.Module, pointer, length uint64) abi.Status {
	if uint32(length) > abi.MaxHostBytes {
		return abi.StatusLimit
	}
	b, ok := guestBytes(m, pointer, length)
	if !ok {
		return abi.StatusInvalid
	}
	if _, err := io.ReadFull(f.source, b); err != nil {
		return abi.StatusFailed
	}
	return abi.StatusOK
}
