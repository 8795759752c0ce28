;; Imports a function of WASI that weft does not have, whatever is granted.
(import "wasi_snapshot_preview1" "proc_spawn" (func (param i32 i32 i32) (result i32)))
(func $poison (param i32))
