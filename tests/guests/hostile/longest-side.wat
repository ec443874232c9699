;; Claims a tensor without a number whose sides are as long as a number can say.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const -1))
(i32.store (i32.const 3204) (i32.const -1))
(i32.store (i32.const 3208) (i32.const 0))
(call $from (i32.const 3200) (i32.const 3) (i32.const 3300) (i32.const 0) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
