;; Claims a tensor without a number whose other sides multiply to 2^64, and looks for its greatest value along one.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.softmax" (func $softmax (param i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const 0))
(i32.store (i32.const 3204) (i32.const 65536))
(i32.store (i32.const 3208) (i32.const 65536))
(i32.store (i32.const 3212) (i32.const 65536))
(i32.store (i32.const 3216) (i32.const 65536))
(call $from (i32.const 3200) (i32.const 5) (i32.const 3300) (i32.const 0) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $softmax (i32.load offset=4 (global.get $fault)) (i32.const 1) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
