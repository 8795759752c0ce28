;; Reads at the very end of the address space, with an offset that wraps around it.
(func $poison (param $r i32)
  (drop (i64.load offset=0xffffffff (i32.const -1))))
