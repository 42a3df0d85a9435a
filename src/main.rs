//! The `mediafs` program: the commands are in `cli`, the daemon in `daemon`.

fn main() -> std::process::ExitCode {
    mediafs::cli::main()
}
