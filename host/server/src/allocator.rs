//! The allocator of the whole program, told to give back what pictures took.
//!
//! glibc keeps what threads freed; a photo server frees a lot. mimalloc gives it back, but takes an arena's memory as a whole and
//! waits a second before it returns a page of it: docs/decisions/0005 has what that costs.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_arena_eager_commit` and `mi_option_purge_delay` (milliseconds) of mimalloc 3's `mimalloc.h`.
const ARENA_EAGER_COMMIT: c_int = 4;
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
}

/// The first arena is reserved before `main`, so this comes earlier. What `MIMALLOC_...` in the environment says still wins.
#[used]
#[unsafe(link_section = ".init_array.00099")]
static TUNE: extern "C" fn() = tune;

extern "C" fn tune() {
    // SAFETY: mimalloc takes options at any time; they are plain numbers in a table of its own.
    unsafe {
        mi_option_set_default(ARENA_EAGER_COMMIT, 0);
        mi_option_set_default(PURGE_DELAY, 10);
    }
}
