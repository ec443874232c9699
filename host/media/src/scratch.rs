//! A thread's memory for one decoded picture, kept from one to the next: to ask the system for so much and to give it back
//! costs as much as a good part of the decoding.

use std::cell::RefCell;

thread_local! {
    static KEPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A picture of 24 megapixels. Larger ones are rare, and their memory is given back at once.
const MOST: usize = 72 << 20;

/// `len` zeros: nobody sees what an earlier picture left, whatever a decoder leaves out.
pub(crate) fn take(len: usize) -> Vec<u8> {
    let mut kept = KEPT.take();
    if kept.capacity() < len {
        return vec![0; len];
    }
    kept.clear();
    kept.resize(len, 0);
    kept
}

/// For the next picture of this thread.
pub(crate) fn keep(buffer: Vec<u8>) {
    if buffer.capacity() <= MOST {
        KEPT.replace(buffer);
    }
}

/// Gives back what this thread keeps from one picture to the next, for threads that have nothing to do.
pub fn cool() {
    KEPT.take();
    crate::pixels::cool();
}
