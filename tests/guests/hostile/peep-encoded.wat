;; Encodes the image and asks for the hash of that, which of a single pixel tells the pixel.
(import "latent:plugin/image@0.1.0" "[method]image.encode" (func $encode (param i32 i32 i32 i32)))
(import "latent:plugin/blob@0.1.0" "[method]blob.sha256" (func $sha256 (param i32 i32)))
;; detect
(call $encode (i32.load (local.get $images)) (i32.const 3) (i32.const 90) (global.get $fault))
(call $sha256 (i32.load offset=4 (global.get $fault)) (global.get $fault))
(if (i32.eqz (i32.load8_u (global.get $fault))) (then (return (global.get $one))))
(global.get $fault)
