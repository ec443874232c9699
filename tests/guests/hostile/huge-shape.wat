;; Claims a tensor of 2^96 numbers.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const -1))
(i32.store (i32.const 3204) (i32.const -1))
(i32.store (i32.const 3208) (i32.const -1))
(call $from (i32.const 3200) (i32.const 3) (i32.const 3300) (i32.const 2) (global.get $fault))
(global.get $fault)
