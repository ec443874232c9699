;; The skeleton of a face detector: the test puts a guest's own imports, memories and `detect` where the marks are.
;; `detect` gets the images (handles, 4 bytes each, at $images) and answers where its result stands in memory:
;; $one: one image without faces; $fault: the error that was written there.
(module
  (;imports;)
  (memory (export "memory") 2)
  (;memories;)
  (global $heap (mut i32) (i32.const 65536))
  (global $one i32 (i32.const 2560))
  (global $fault i32 (i32.const 3072))
  ;; describe: ok, 2 dimensions, the revision "r1", faces of one person from a cosine of 0.5 on.
  (data (i32.const 2048) "\00\00\00\00\02\00\00\00\00\10\00\00\02\00\00\00\00\00\00\3f")
  (data (i32.const 4096) "r1")
  ;; detect: ok, a list of one at 2600, which is ok and an empty list.
  (data (i32.const 2560) "\00\00\00\00\28\0a\00\00\01\00\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "latent:plugin/lifecycle@0.1.0#init") (result i32) (i32.const 1024))
  (func (export "latent:plugin/face-detection@0.1.0#describe") (result i32) (i32.const 2048))
  (func $detect (export "latent:plugin/face-detection@0.1.0#detect")
    (param $images i32) (param $count i32) (result i32)
    (local $at i32)
    (global.set $heap (i32.const 65536))
    (;detect;)))
