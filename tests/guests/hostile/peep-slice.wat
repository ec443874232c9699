;; Encodes the image and takes a part of that.
(import "latent:plugin/image@0.1.0" "[method]image.encode" (func $encode (param i32 i32 i32 i32)))
(import "latent:plugin/blob@0.1.0" "[method]blob.slice" (func $slice (param i32 i64 i64 i32)))
;; detect
(call $encode (i32.load (local.get $images)) (i32.const 3) (i32.const 90) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $slice (i32.load offset=4 (global.get $fault)) (i64.const 10) (i64.const 10) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(global.get $one)
