package plugins

import (
	"encoding/json"
	"time"

	"github.com/weftrun/weft/hostfuncs"
)

// Spec says which plugin to load and what the operator allows it.
type Spec struct {
	// Name is the plugin's name in the configuration, logs and metrics.
	Name string
	// File is where the binary lies. Wasm is the binary itself and wins; File
	// then is only what messages call it.
	File string
	Wasm []byte
	// SHA256 pins the binary, in hexadecimal; empty for any.
	SHA256 string
	// SignedBy lists the ids of keys in EnvConfig.Trust that must all have signed
	// the binary.
	SignedBy []string
	// Shipped says that the binary is a part of weft itself: it needs no
	// signature but those of SignedBy.
	Shipped bool
	// Config is handed to the plugin's weft_init; empty for {}.
	Config json.RawMessage
	Grants hostfuncs.Grants
	// Memory bounds one instance's memory in bytes, 0 for DefaultMemory. It
	// is rounded down to pages of 64 KiB.
	Memory    int64
	OnFailure Policy
	// Tick is how often weft_on_tick is called, if exported: 0 for
	// DefaultTick, negative for never.
	Tick time.Duration
	// CPU is how much time a message may take, 0 for DefaultCPU, and as much
	// again for every 4 KiB of it, up to EnvConfig.CallBudget. The messages of
	// one call share their budgets; one that fails is run again by itself.
	CPU time.Duration
	// StartCPU is how much time each step of an instance's life beside its hooks
	// may take, 0 for DefaultStartCPU.
	StartCPU time.Duration
	// Deadline is how long a message may wait in the plugin for asynchronous
	// calls, all of them together, 0 for DefaultDeadline: no wait begins after
	// it. What a single call may take the grant says.
	Deadline time.Duration
	// Generation tells the plugins of one name apart that come one after another.
	Generation uint64
	// Shadow keeps the plugin from doing anything that can be seen outside: for
	// one that runs beside a live one, see Chain.Shadow.
	Shadow bool
}

// Defaults and bounds of a Spec.
const (
	DefaultMemory = 16 << 20
	MaxMemory     = 4 << 30
	DefaultTick   = time.Second
	// DefaultDeadline is how long a message may wait for asynchronous calls.
	DefaultDeadline = 30 * time.Second
	// MaxFile is how large a plugin's binary may be.
	MaxFile = 64 << 20
)

const pageSize = 64 << 10

// source is what messages call the plugin.
func (s *Spec) source() string {
	switch {
	case s.File != "":
		return "plugin " + s.Name + " (file " + s.File + ")"
	default:
		return "plugin " + s.Name
	}
}

// pages is the memory bound in pages. The last page of 4 GiB is left out: with it the
// memory's size is no 32-bit number any more, and reads as 0.
func (s *Spec) pages() uint32 { return uint32(min(s.Memory/pageSize, MaxMemory/pageSize-1)) }

func (s *Spec) setDefaults() {
	if s.Memory == 0 {
		s.Memory = DefaultMemory
	}
	if s.Tick == 0 {
		s.Tick = DefaultTick
	}
	if s.CPU == 0 {
		s.CPU = DefaultCPU
	}
	if s.StartCPU == 0 {
		s.StartCPU = DefaultStartCPU
	}
	if s.Deadline == 0 {
		s.Deadline = DefaultDeadline
	}
	if len(s.Config) == 0 {
		s.Config = json.RawMessage("{}")
	}
}
