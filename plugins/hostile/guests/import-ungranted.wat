;; Imports the key-value store, which nobody granted.
(import "weft" "kv_get" (func (param i32 i32 i32 i32) (result i64)))
(func $poison (param i32))
