;; Answers one face whose area lies outside the image.
;; detect
(i32.store (i32.const 2600) (i32.const 0))
(i32.store (i32.const 2604) (i32.const 2800))
(i32.store (i32.const 2608) (i32.const 1))
(f32.store (i32.const 2800) (f32.const 0.9))
(f32.store (i32.const 2804) (f32.const 0.5))
(f32.store (i32.const 2808) (f32.const nan))
(f32.store (i32.const 2812) (f32.const 0.2))
(f32.store (i32.const 2816) (f32.const 0.9))
(global.get $one)
