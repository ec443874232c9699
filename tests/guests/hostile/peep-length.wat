;; Encodes the image and asks how long that is: a text of one letter means that it was told.
(import "latent:plugin/image@0.1.0" "[method]image.encode" (func $encode (param i32 i32 i32 i32)))
(import "latent:plugin/blob@0.1.0" "[method]blob.len" (func $len (param i32 i32)))
;; detect
(call $encode (i32.load (local.get $images)) (i32.const 3) (i32.const 90) (global.get $fault))
(if (i32.load8_u (global.get $fault)) (then (return (global.get $fault))))
(call $len (i32.load offset=4 (global.get $fault)) (global.get $fault))
(if (i32.eqz (i32.load8_u (global.get $fault))) (then (return (global.get $one))))
(i32.store8 (global.get $fault) (i32.const 1))
(i32.store8 offset=4 (global.get $fault) (i32.const 5))
(i32.store offset=8 (global.get $fault) (i32.const 8192))
(i32.store offset=12 (global.get $fault) (i32.const 1))
(global.get $fault)
