;; Takes memory for two memories in turn until there is none left; its text is as long as both have pages.
;; memories
(memory $second 1)
;; detect
(loop $more
  (br_if $more (i32.or
    (i32.ne (memory.grow $second (i32.const 1)) (i32.const -1))
    (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))))
(i32.store8 (global.get $fault) (i32.const 1))
(i32.store8 offset=4 (global.get $fault) (i32.const 5))
(i32.store offset=8 (global.get $fault) (i32.const 8192))
(i32.store offset=12 (global.get $fault) (i32.add (memory.size) (memory.size $second)))
(global.get $fault)
