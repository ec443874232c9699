;; Turns the image into numbers and lists the greatest of them.
(import "latent:plugin/image@0.1.0" "[method]image.to-tensor"
  (func $to-tensor (param i32 i32 i32 i32 f32 f32 f32 f32 f32 f32 i32)))
(import "latent:plugin/tensor@0.1.0" "[method]tensor.above" (func $above (param i32 f32 i32 i32)))
;; detect
(call $to-tensor (i32.load (local.get $images)) (i32.const 0) (i32.const 0) (i32.const 0)
  (f32.const 0) (f32.const 0) (f32.const 0) (f32.const 1) (f32.const 1) (f32.const 1) (global.get $fault))
(call $above (i32.load offset=4 (global.get $fault)) (f32.const 0) (i32.const 2) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
