;; Loops for ever in the start function, before the host has said a word.
(func $poison (param i32))
(func $start (loop $again (br $again)))
(start $start)
