package abi

// ValueType is a WebAssembly value type as it appears in a function signature.
type ValueType byte

// The value types that the ABI uses, with their codes in the binary format
// (WebAssembly core specification, section 5.3.1).
const (
	I32 ValueType = 0x7f
	I64 ValueType = 0x7e
	F64 ValueType = 0x7c
)

// String is the type's name in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F64:
		return "f64"
	}
	return "unknown"
}

// Signature is a function's parameters and results.
type Signature struct {
	Params  []ValueType
	Results []ValueType
}

// Names of a guest's exports.
const (
	ExportMemory     = "memory"
	ExportInitialize = "_initialize"
	ExportBuffer     = "weft_buffer"
	ExportInit       = "weft_init"
	ExportNeeds      = "weft_needs"
	ExportOnMessages = "weft_on_messages"
	ExportOnOpen     = "weft_on_open"
	ExportOnClose    = "weft_on_close"
	ExportOnTick     = "weft_on_tick"
	ExportOnResume   = "weft_on_resume"
	ExportSnapshot   = "weft_snapshot"
	ExportRestore    = "weft_restore"
)

// ExportPrefix begins every name that belongs to the ABI. An export with this
// prefix that the host does not know is refused at load.
const ExportPrefix = "weft_"

// Export describes one function that a guest may or must export.
type Export struct {
	Name      string
	Signature Signature
	Required  bool
}

// Exports lists every function of the contract but the version export, whose
// name carries the version and whose signature is () -> ().
var Exports = []Export{
	{ExportInitialize, Signature{}, false},
	{ExportBuffer, Signature{[]ValueType{I32}, []ValueType{I32}}, true},
	{ExportInit, Signature{[]ValueType{I32, I32}, []ValueType{I64}}, false},
	{ExportNeeds, Signature{nil, []ValueType{I64}}, false},
	{ExportOnMessages, Signature{[]ValueType{I32, I32}, []ValueType{I32}}, true},
	{ExportOnOpen, Signature{[]ValueType{I32, I32}, []ValueType{I32}}, false},
	{ExportOnClose, Signature{[]ValueType{I32, I32}, []ValueType{I32}}, false},
	{ExportOnTick, Signature{[]ValueType{I32, I32}, []ValueType{I32}}, false},
	{ExportOnResume, Signature{[]ValueType{I32, I32}, []ValueType{I32}}, false},
	{ExportSnapshot, Signature{nil, []ValueType{I64}}, false},
	{ExportRestore, Signature{[]ValueType{I32, I32}, []ValueType{I64}}, false},
}

// HookExport is the name of the export that serves a hook.
func HookExport(h Hook) string {
	switch h {
	case HookMessages:
		return ExportOnMessages
	case HookOpen:
		return ExportOnOpen
	case HookClose:
		return ExportOnClose
	case HookTick:
		return ExportOnTick
	case HookResume:
		return ExportOnResume
	}
	return ""
}

// ManifestSection is the name of the custom section that holds the manifest.
const ManifestSection = "weft.manifest"
