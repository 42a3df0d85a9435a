//! The yardstick of the benchmark, on systems with FUSE. `mirror.rs` says what it is.

#[cfg(unix)]
mod mirror;

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    mirror::main()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("bare: there is no FUSE on this system");
    std::process::exit(1);
}
