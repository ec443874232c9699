;; Keeps the first image that it gets, and looks at it in every call.
(import "latent:plugin/image@0.1.0" "[method]image.size" (func $size (param i32 i32)))
(global $kept (mut i32) (i32.const -1))
;; detect
(if (i32.eq (global.get $kept) (i32.const -1)) (then (global.set $kept (i32.load (local.get $images)))))
(call $size (global.get $kept) (global.get $fault))
(global.get $one)
