;; Cuts out most of the image, which takes a turn on the host's pool, and gives everything back.
(import "latent:plugin/image@0.1.0" "[method]image.crop" (func $crop (param i32 f32 f32 f32 f32 i32)))
(import "latent:plugin/image@0.1.0" "[resource-drop]image" (func $drop (param i32)))
;; detect
(call $crop (i32.load (local.get $images)) (f32.const 0) (f32.const 0) (f32.const 0.9) (f32.const 0.9) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $drop (i32.load offset=4 (global.get $fault)))
(call $drop (i32.load (local.get $images)))
(global.get $one)
