;; Calls an empty place of its table, then one beyond it.
(type $v (func))
(table 4 funcref)
(func $poison (param $r i32)
  (call_indirect (type $v) (i32.and (i32.load8_u offset=16 (local.get $r)) (i32.const 7))))
