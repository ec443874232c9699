;; Turns the image into numbers, hides that by normalising and stacking them, and reads the first.
(import "latent:plugin/image@0.1.0" "[method]image.to-tensor"
  (func $to-tensor (param i32 i32 i32 i32 f32 f32 f32 f32 f32 f32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.softmax" (func $softmax (param i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "stack" (func $stack (param i32 i32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.read-f32" (func $read (param i32 i32 i32 i32)))
;; detect
(call $to-tensor (i32.load (local.get $images)) (i32.const 0) (i32.const 0) (i32.const 2)
  (f32.const 0) (f32.const 0) (f32.const 0) (f32.const 1) (f32.const 1) (f32.const 1) (global.get $fault))
(call $softmax (i32.load offset=4 (global.get $fault)) (i32.const 1) (global.get $fault))
(i32.store (i32.const 3200) (i32.load offset=4 (global.get $fault)))
(call $stack (i32.const 3200) (i32.const 1) (global.get $fault))
(call $read (i32.load offset=4 (global.get $fault)) (i32.const 0) (i32.const 1) (global.get $fault))
(if (i32.eqz (i32.load8_u (global.get $fault))) (then (return (global.get $one))))
(global.get $fault)
