;; Breaks on images of one pixel, and on more than one image at a time.
(import "latent:plugin/image@0.1.0" "[method]image.size" (func $size (param i32 i32)))
(import "latent:plugin/image@0.1.0" "[resource-drop]image" (func $drop (param i32)))
;; detect
(call $size (i32.load (local.get $images)) (global.get $fault))
(if (i32.or (i32.eq (i32.load (global.get $fault)) (i32.const 1)) (i32.gt_u (local.get $count) (i32.const 1)))
  (then (unreachable)))
(call $drop (i32.load (local.get $images)))
(global.get $one)
