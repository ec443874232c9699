;; Answers an error of a hundred thousand NULs.
;; detect
(i32.store8 (global.get $fault) (i32.const 1))
(i32.store8 offset=4 (global.get $fault) (i32.const 5))
(i32.store offset=8 (global.get $fault) (i32.const 8192))
(memory.fill (i32.const 8192) (i32.const 0) (i32.const 100000))
(i32.store offset=12 (global.get $fault) (i32.const 100000))
(global.get $fault)
