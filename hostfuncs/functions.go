package hostfuncs

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/weftrun/weft/abi"
)

// Functions is what a [Host] has in a runtime.
type Functions struct{ weft, wasi hostModule }

// hostModule is a module of host functions; zero if nothing of it is granted.
type hostModule struct {
	code   wazero.CompiledModule
	module api.Module
}

// With gives the functions to the guests that are instantiated with the context.
func (f *Functions) With(ctx context.Context) context.Context {
	return experimental.WithImportResolver(ctx, func(name string) api.Module {
		switch name {
		case abi.ImportModule:
			return f.weft.module
		case WASIModule:
			return f.wasi.module
		}
		return nil
	})
}

// Close gives back what the functions hold. It may be called more than once.
func (f *Functions) Close(ctx context.Context) error {
	return errors.Join(f.weft.close(ctx), f.wasi.close(ctx))
}

func (m *hostModule) close(ctx context.Context) error {
	var errs []error
	if m.module != nil {
		errs = append(errs, m.module.Close(ctx))
	}
	if m.code != nil {
		errs = append(errs, m.code.Close(ctx))
	}
	*m = hostModule{}
	return errors.Join(errs...)
}
