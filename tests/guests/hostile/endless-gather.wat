;; Claims a tensor without a number whose other sides are long, and picks from it ten thousand times along each.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.gather" (func $gather (param i32 i32 i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const 134217728))
(i32.store (i32.const 3204) (i32.const 134217728))
(i32.store (i32.const 3208) (i32.const 0))
(call $from (i32.const 3200) (i32.const 3) (i32.const 3300) (i32.const 0) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $gather (i32.load offset=4 (global.get $fault)) (i32.const 1) (i32.const 8192) (i32.const 10000) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
