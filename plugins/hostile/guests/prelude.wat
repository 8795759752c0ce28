;; What the hostile guests in the text format have in common: a guest that is
;; well-behaved but for messages that begin with an exclamation mark. Those are
;; handed to the function $poison, which each guest defines; it gets the record.
(memory (export "memory") 20)
(func (export "weft_abi_1_0"))
(func (export "weft_buffer") (param $size i32) (result i32)
  (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get $size) (i32.const 1048576))))
(func (export "weft_on_messages") (param $records i32) (param $count i32) (result i32)
  (local $n i32)
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $n) (local.get $count)))
      (if (i32.load offset=60 (local.get $records))
        (then (if (i32.eq (i32.load8_u (i32.load offset=56 (local.get $records))) (i32.const 33))
          (then (call $poison (local.get $records))))))
      (local.set $records (i32.add (local.get $records) (i32.const 128)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br $next)))
  (local.get $count))
