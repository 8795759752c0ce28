;; Fills a large table, over and over.
(table $t 60000 funcref)
(func $poison (param i32)
  (loop $again
    (table.fill $t (i32.const 0) (ref.null func) (i32.const 60000))
    (br $again)))
