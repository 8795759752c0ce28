;; An endless loop with a br_table in it that never takes the same way twice.
(func $poison (param $r i32) (local $n i32)
  (loop $again
    (block $c (block $b (block $a
      (br_table $a $b $c $again (i32.rem_u (local.tee $n (i32.add (local.get $n) (i32.const 7))) (i32.const 5))))
      (br $again))
      (br $again))
    (br $again)))
