;; Grows a table without a maximum, over and over.
(table $t 1 funcref)
(func $poison (param i32)
  (loop $again
    (drop (table.grow $t (ref.null func) (i32.const 1000)))
    (br $again)))
