;; Takes memory until there is none left, and answers a text that is as long as there are pages.
;; detect
(loop $more
  (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
(i32.store8 (global.get $fault) (i32.const 1))
(i32.store8 offset=4 (global.get $fault) (i32.const 5))
(i32.store offset=8 (global.get $fault) (i32.const 8192))
(i32.store offset=12 (global.get $fault) (memory.size))
(global.get $fault)
