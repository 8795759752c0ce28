;; Exports a hook that does not exist.
(func (export "weft_on_message") (param i32 i32) (result i32) (local.get 1))
(func $poison (param i32))
