package plugins

import (
	"errors"
	"fmt"

	"github.com/weftrun/weft/plugins/module"
)

// The classes of errors. Everything that Load and NewChain return wraps one.
var (
	// ErrSpec: the plugin's configuration itself is wrong.
	ErrSpec = errors.New("bad plugin configuration")
	// ErrFile: the binary cannot be read, or is too large.
	ErrFile = errors.New("cannot read plugin")
	// ErrPin: the binary is not the one whose SHA-256 was pinned.
	ErrPin = errors.New("not the pinned binary")
	// ErrSignature: the binary is not signed as it has to be. What exactly is
	// wrong is one of the errors of plugins/sign.
	ErrSignature = errors.New("signature does not verify")
	// ErrNotWasm: the file is no WebAssembly module.
	ErrNotWasm = errors.New("not a WebAssembly module")
	// ErrMalformed: the module is damaged.
	ErrMalformed = module.ErrMalformed
	// ErrVersion: built for a version of the ABI that this host does not run.
	ErrVersion = errors.New("ABI version does not fit")
	// ErrExport: an export is missing, unknown, or has the wrong signature.
	ErrExport = errors.New("export does not fit the ABI")
	// ErrImport: an import is unknown or has the wrong signature.
	ErrImport = errors.New("import does not fit the ABI")
	// ErrNotGranted: an import belongs to a capability that was not granted.
	ErrNotGranted = errors.New("capability not granted")
	// ErrMemory: the module's memory does not fit.
	ErrMemory = errors.New("memory does not fit")
	// ErrManifest: the manifest section is wrong.
	ErrManifest = errors.New("bad manifest")
	// ErrCompile: the module's code is invalid.
	ErrCompile = errors.New("module does not compile")
	// ErrInit: the plugin refused its configuration.
	ErrInit = errors.New("plugin refused its configuration")
	// ErrTrap: the plugin trapped.
	ErrTrap = errors.New("plugin trapped")
	// ErrFault: the plugin's answer broke the contract.
	ErrFault = errors.New("plugin broke the contract")
	// ErrFuel: the plugin took more CPU than it may. It comes with ErrTrap.
	ErrFuel = errors.New("CPU budget used up")
	// ErrDepth: the plugin nested its calls too deep. It comes with ErrTrap.
	ErrDepth = errors.New("calls nested too deep")
	// ErrRestore: the plugin refused the state of the generation before it.
	ErrRestore = errors.New("plugin refused the state of its predecessor")
	// ErrPlaces: as many instances are not at hand as the chain has places, or
	// what is asked for does not fit what runs there.
	ErrPlaces = errors.New("does not fit the chain")
	// ErrClosed: the environment or the plugin is closed.
	ErrClosed = errors.New("closed")
)

// errNoBuffer: weft_buffer answered 0.
var errNoBuffer = fmt.Errorf("%w: weft_buffer answered 0: it has no buffer of that size", ErrFault)
