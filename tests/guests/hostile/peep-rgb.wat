;; Reads the image itself.
(import "latent:plugin/image@0.1.0" "[method]image.read-rgb" (func $read (param i32 f32 f32 f32 f32 i32)))
;; detect
(call $read (i32.load (local.get $images)) (f32.const 0) (f32.const 0) (f32.const 0.25) (f32.const 0.25) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
