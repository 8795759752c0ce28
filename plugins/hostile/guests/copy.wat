;; Copies its memory onto itself, shifted by one byte, over and over.
(func $poison (param i32)
  (loop $again
    (memory.copy (i32.const 1) (i32.const 0) (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))
    (br $again)))
