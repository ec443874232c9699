//! The migrations are compiled in by a macro, which Cargo cannot see through.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
