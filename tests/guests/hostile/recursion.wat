;; Calls itself until the stack ends.
;; detect
(call $detect (local.get $images) (local.get $count))
