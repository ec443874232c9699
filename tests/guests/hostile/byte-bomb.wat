;; Makes the image larger until the host holds no more of it.
(import "latent:plugin/image@0.1.0" "[method]image.resize" (func $resize (param i32 i32 i32 i32 i32 i32)))
;; detect
(loop $more
  (call $resize (i32.load (local.get $images)) (i32.const 2000) (i32.const 2000) (i32.const 0) (i32.const 0) (global.get $fault))
  (br_if $more (i32.eqz (i32.load8_u (global.get $fault)))))
(global.get $fault)
