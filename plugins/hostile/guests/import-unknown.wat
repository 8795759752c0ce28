;; Imports a function that weft does not have.
(import "weft" "exec" (func (param i32 i32) (result i32)))
(func $poison (param i32))
