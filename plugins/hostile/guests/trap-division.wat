;; Divides the smallest integer by -1, which no machine can.
(func $poison (param $r i32)
  (drop (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 0)) (i32.const 1)))))
