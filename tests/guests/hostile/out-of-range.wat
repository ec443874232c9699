;; Makes a tensor of two numbers and reads far beyond them.
(import "latent:plugin/tensor@0.1.0" "[static]tensor.from-f32" (func $from (param i32 i32 i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.read-f32" (func $read (param i32 i32 i32 i32)))
;; detect
(i32.store (i32.const 3200) (i32.const 2))
(call $from (i32.const 3200) (i32.const 1) (i32.const 3300) (i32.const 2) (global.get $fault))
(call $read (i32.load offset=4 (global.get $fault)) (i32.const 0xffffffff) (i32.const 2) (global.get $fault))
(global.get $fault)
