;; Says that its answer is a list of 2 GiB.
;; detect
(i32.store offset=8 (global.get $one) (i32.const 0x7fffffff))
(global.get $one)
