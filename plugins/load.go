package plugins

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/hostfuncs"
)

// Load reads, verifies and compiles a plugin, and makes one instance on trial:
// what Load returns can be instantiated and accepts its configuration. Errors
// name the plugin, the finding and the remedy. Plugins are compiled one at a time:
// when ctx ends, Load gives up waiting for its turn, and for the process that
// compiles; what it has begun in this process it ends.
func (e *Env) Load(ctx context.Context, spec Spec) (*Plugin, error) {
	spec.setDefaults()
	p, err := e.load(ctx, spec)
	if err != nil {
		return nil, readably(fmt.Errorf("%s: %w", spec.source(), err))
	}
	return p, nil
}

func (e *Env) load(ctx context.Context, spec Spec) (*Plugin, error) {
	if err := errors.Join(ctx.Err(), checkSpec(&spec)); err != nil {
		return nil, err
	}
	wasm, err := readBinary(&spec)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(wasm)
	if err := checkPin(&spec, sum); err != nil {
		return nil, err
	}
	signers, err := e.checkSignature(&spec, wasm)
	if err != nil {
		return nil, err
	}
	p := &Plugin{env: e, spec: spec, sum: sum, signers: signers}
	p.spec.Wasm = nil // the compiled form is all that is kept
	if err := p.setFuel(); err != nil {
		return nil, err
	}
	if p.host, err = e.hostFor(&spec); err != nil {
		return nil, err
	}
	if p.program, err = e.program(ctx, p, wasm); err != nil {
		return nil, err
	}
	if p.functions, err = p.host.Register(ctx, p.program.runtime); err == nil {
		err = errors.Join(p.trial(ctx), e.add(p))
	}
	if err != nil {
		return nil, errors.Join(err, p.giveBack(context.WithoutCancel(ctx)))
	}
	return p, nil
}

// hostFor makes the host functions of a plugin.
func (e *Env) hostFor(spec *Spec) (*hostfuncs.Host, error) {
	host, err := hostfuncs.New(hostfuncs.Config{
		Plugin: spec.Name, Grants: spec.Grants, Logger: e.cfg.Logger,
		Metrics: e.cfg.Metrics, Clock: e.cfg.Clock, KV: e.cfg.KV, Shadow: spec.Shadow, HTTP: e.cfg.HTTP, Filter: e.cfg.Filter,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return host, nil
}

// maxDepth is how deep calls may nest. What a plugin needs lies in the hundreds; deeper
// stacks cost milliseconds, as the compiler grows them by copying.
const maxDepth = 8000

func checkSpec(s *Spec) error {
	switch {
	case s.Name == "":
		return fmt.Errorf("%w: it has no name", ErrSpec)
	case s.File == "" && len(s.Wasm) == 0:
		return fmt.Errorf("%w: file is missing: expected the path of a .wasm file", ErrSpec)
	case s.Memory < pageSize || s.Memory > MaxMemory:
		return fmt.Errorf("%w: memory is %s: expected 64KiB to 4GiB", ErrSpec, size(s.Memory))
	case len(s.Config) > abi.MaxConfig:
		return fmt.Errorf("%w: config takes %s: at most %s are allowed", ErrSpec, size(int64(len(s.Config))), size(abi.MaxConfig))
	case !json.Valid(s.Config):
		return fmt.Errorf("%w: config is no JSON", ErrSpec)
	case s.CPU < time.Microsecond || s.CPU > MaxCPU:
		return fmt.Errorf("%w: cpu is %v: expected %v to %v", ErrSpec, s.CPU, time.Microsecond, MaxCPU)
	case s.StartCPU < time.Microsecond || s.StartCPU > MaxCPU:
		return fmt.Errorf("%w: start_cpu is %v: expected %v to %v", ErrSpec, s.StartCPU, time.Microsecond, MaxCPU)
	case s.OnFailure > FailQuarantine:
		return fmt.Errorf("%w: on_failure: %w %d", ErrSpec, ErrPolicy, s.OnFailure)
	}
	return nil
}

// readBinary reads the file, or copies what was given.
func readBinary(s *Spec) ([]byte, error) {
	if len(s.Wasm) > 0 {
		if len(s.Wasm) > MaxFile {
			return nil, fmt.Errorf("%w: %s: at most %s are read", ErrFile, size(int64(len(s.Wasm))), size(MaxFile))
		}
		return bytes.Clone(s.Wasm), nil
	}
	f, err := os.Open(s.File)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer f.Close()
	wasm, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	case len(wasm) > MaxFile:
		return nil, fmt.Errorf("%w: the file is larger than %s", ErrFile, size(MaxFile))
	}
	return wasm, nil
}

func checkPin(s *Spec, sum [sha256.Size]byte) error {
	pin := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s.SHA256)), "sha256:")
	found := hex.EncodeToString(sum[:])
	switch {
	case s.SHA256 == "" || pin == found:
		return nil
	case len(pin) != len(found):
		return fmt.Errorf("%w: sha256 is %q: expected 64 hexadecimal digits", ErrSpec, s.SHA256)
	}
	return fmt.Errorf("%w: its SHA-256 is %s, pinned is %s: restore the file, or pin the new one after you looked at it", ErrPin, found, pin)
}

// trial makes an instance and throws it away.
func (p *Plugin) trial(ctx context.Context) error {
	in, err := newInstance(ctx, p)
	if in != nil {
		in.close()
	}
	return err
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
