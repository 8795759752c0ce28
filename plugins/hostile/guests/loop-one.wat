;; An endless loop of one instruction.
(func $poison (param i32) (loop $again (br $again)))
