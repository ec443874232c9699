//! The allocator of the whole program, told to give back what pictures took.
//!
//! glibc keeps what threads freed; a photo server frees a lot. mimalloc gives it back, but takes an arena's memory as a whole and
//! waits a second before it returns a page of it: docs/decisions/0005 has what that costs.

use std::ffi::{c_int, c_long};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_arena_eager_commit` and `mi_option_purge_delay` (milliseconds) of mimalloc 3's `mimalloc.h`.
const ARENA_EAGER_COMMIT: c_int = 4;
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
    fn mi_collect(force: bool);
}

/// mimalloc gives a page back when something is taken or freed after its delay; in a server that has nothing to do, that is never.
const SWEEP: Duration = Duration::from_secs(5);

/// Gives back for as long as the program runs what was freed and not taken again.
pub fn sweep() {
    let sweeper = std::thread::Builder::new().name("allocator".into()).spawn(|| {
        loop {
            std::thread::sleep(SWEEP);
            // SAFETY: it takes no pointer, and any thread may call it at any time.
            unsafe { mi_collect(true) };
        }
    });
    if let Err(error) = sweeper {
        tracing::warn!(%error, "Memory that was freed is given back late");
    }
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
