;; Divides, takes roots and rounds for ever: not-a-number, denormals, infinities, none of
;; which may stop it or slow it out of proportion.
(func $poison (param i32) (local $x f64)
  (local.set $x (f64.const 0x1p-1074))
  (loop $again
    (local.set $x (f64.div (f64.sqrt (f64.mul (local.get $x) (f64.const 0x1.8p-1060))) (f64.add (local.get $x) (f64.const -nan:0x8000000000001))))
    (local.set $x (f64.add (f64.nearest (local.get $x)) (f64.const 0x1p-1074)))
    (br $again)))
