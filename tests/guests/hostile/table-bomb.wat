;; Makes two tables longer until they cannot be; its text is a hundredth as long as both.
(table $first 1 funcref)
(table $second 1 funcref)
;; detect
(loop $more
  (br_if $more (i32.or
    (i32.ne (table.grow $second (ref.null func) (i32.const 50)) (i32.const -1))
    (i32.ne (table.grow $first (ref.null func) (i32.const 50)) (i32.const -1)))))
(i32.store8 (global.get $fault) (i32.const 1))
(i32.store8 offset=4 (global.get $fault) (i32.const 5))
(i32.store offset=8 (global.get $fault) (i32.const 8192))
(i32.store offset=12 (global.get $fault)
  (i32.div_u (i32.add (table.size $first) (table.size $second)) (i32.const 100)))
(global.get $fault)
