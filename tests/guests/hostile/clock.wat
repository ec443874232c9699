;; Asks what time it is.
(import "latent:plugin/config@0.1.0" "now-ms" (func $now (result i64)))
(import "latent:plugin/image@0.1.0" "[resource-drop]image" (func $drop (param i32)))
;; detect
(drop (call $now))
(call $drop (i32.load (local.get $images)))
(global.get $one)
