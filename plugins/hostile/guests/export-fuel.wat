;; Exports a global of its own under the name of the meter's.
(global (export "weft:fuel") (mut i64) (i64.const 0))
(func $poison (param i32))
