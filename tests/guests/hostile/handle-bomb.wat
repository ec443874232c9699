;; Cuts one pixel out of the image again and again and lets go of none.
(import "latent:plugin/image@0.1.0" "[method]image.crop" (func $crop (param i32 f32 f32 f32 f32 i32)))
;; detect
(loop $more
  (call $crop (i32.load (local.get $images)) (f32.const 0) (f32.const 0) (f32.const 0.01) (f32.const 0.01) (global.get $fault))
  (br_if $more (i32.eqz (i32.load8_u (global.get $fault)))))
(global.get $fault)
