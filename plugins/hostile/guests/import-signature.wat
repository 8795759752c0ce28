;; Imports a function of weft with another signature.
(import "weft" "log" (func (param i64 i64) (result i32)))
(func $poison (param i32))
