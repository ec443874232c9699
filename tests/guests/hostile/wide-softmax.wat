;; Claims a tensor without a number with one side of 2^28, and works along that.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.softmax" (func $softmax (param i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const 0))
(i32.store (i32.const 3204) (i32.const 268435456))
(call $from (i32.const 3200) (i32.const 2) (i32.const 3300) (i32.const 0) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $softmax (i32.load offset=4 (global.get $fault)) (i32.const 1) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
