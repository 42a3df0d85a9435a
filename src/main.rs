//! The `mediafs` program.
fn main() {}
