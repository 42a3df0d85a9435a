//! Microsoft's linker is told to load WinFsp when it is first used: programs start without it, and it is found where its
//! installer has put it. That goes for what is linked of one package, so it is the build script of both that link programs.

fn main() {
    // It depends on no file.
    println!("cargo:rerun-if-env-changed=CARGO_CFG_TARGET_ENV");
    let of_target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if of_target("OS") != "windows" || of_target("ENV") != "msvc" {
        return;
    }
    let dll = match of_target("ARCH").as_str() {
        "aarch64" => "winfsp-a64.dll",
        "x86" => "winfsp-x86.dll",
        _ => "winfsp-x64.dll",
    };
    println!("cargo:rustc-link-arg=/DELAYLOAD:{dll}");
}
