//go:build wasm || tinygo.wasm

package weft

// The exports of abi/SPEC.md, section 1. They are always there; weft_needs says
// which hooks the plugin has.

//go:wasmexport weft_abi_1_1
func wasmVersion() {}

//go:wasmexport weft_buffer
func wasmBuffer(size uint32) uint32 { return input(size) }

//go:wasmexport weft_init
func wasmInit(config, size uint32) uint64 { return configure(span{config, size}) }

//go:wasmexport weft_needs
func wasmNeeds() uint64 { return needs() }

//go:wasmexport weft_on_messages
func wasmOnMessages(records, count uint32) uint32 { return onMessages(records, count) }

//go:wasmexport weft_on_open
func wasmOnOpen(records, count uint32) uint32 { return onOpen(records, count) }

//go:wasmexport weft_on_close
func wasmOnClose(records, count uint32) uint32 { return onClose(records, count) }

//go:wasmexport weft_on_tick
func wasmOnTick(records, count uint32) uint32 { return onTick(records, count) }

//go:wasmexport weft_on_resume
func wasmOnResume(records, count uint32) uint32 { return onResume(records, count) }

//go:wasmexport weft_snapshot
func wasmSnapshot() uint64 { return snapshot() }

//go:wasmexport weft_restore
func wasmRestore(state, size uint32) uint64 { return restore(span{state, size}) }
