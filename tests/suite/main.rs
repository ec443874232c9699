//! One binary, every test.
