;; Traps in the start function.
(func $poison (param i32))
(func $start unreachable)
(start $start)
