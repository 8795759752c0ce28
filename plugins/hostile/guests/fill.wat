;; Fills its whole memory, over and over.
(func $poison (param i32)
  (loop $again
    (memory.fill (i32.const 0) (i32.const 90) (i32.mul (memory.size) (i32.const 65536)))
    (br $again)))
