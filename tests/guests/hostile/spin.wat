;; Never comes back.
;; detect
(loop $forever (br $forever))
(global.get $one)
