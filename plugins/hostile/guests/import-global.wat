;; Imports the meter's fuel as a global.
(import "weft" "weft:fuel" (global $fuel (mut i64)))
(func $poison (param i32) (global.set $fuel (i64.const 0x7fffffffffffffff)))
