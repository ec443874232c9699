;; Logs a hundred thousand times.
(import "latent:plugin/log@0.1.0" "event" (func $log (param i32 i32 i32 i32 i32)))
;; detect
(loop $more
  (call $log (i32.const 3) (i32.const 4096) (i32.const 2) (i32.const 0) (i32.const 0))
  (local.set $at (i32.add (local.get $at) (i32.const 1)))
  (br_if $more (i32.lt_u (local.get $at) (i32.const 100000))))
(global.get $one)
