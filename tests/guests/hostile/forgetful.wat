;; Finds nothing and forgets to give the image back.
;; detect
(global.get $one)
