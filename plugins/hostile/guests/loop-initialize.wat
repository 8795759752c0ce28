;; Loops for ever in _initialize.
(func $poison (param i32))
(func (export "_initialize") (loop $again (br $again)))
