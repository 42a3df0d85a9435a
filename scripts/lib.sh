# shellcheck shell=bash
# What the scripts of this folder share: speaking, system packages, cargo, the release binary.
# Source it: . "$(dirname "$0")/lib.sh"

set -euo pipefail

# The clone, whatever folder the script was called from.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian and Ubuntu packages, named in this one place.
#   build     a C compiler for the bundled SQLite and zstd
#   mount     fusermount3, by which a drive is mounted without root
#   helper    setcap, for the passthrough helper
#   demo      a sample library, and two programs to look at it with
#   tests     independent readers and writers of sound, and of file systems
#   bench     the file systems that the benchmark compares with
#   vm        a virtual machine, and what mounts by NFS in it, for scripts/in-vm
#   cross     a compiler with the source of its standard library, C compilers and Wine, for scripts/cross
# The scripts read them from here.
# shellcheck disable=SC2034
{
  packages_build=(gcc libc6-dev)
  packages_mount=(fuse3)
  packages_helper=(libcap2-bin)
  packages_demo=(hydrogen-data sox ffmpeg)
  packages_tests=(
    python3 attr rsync bindfs rclone libglib2.0-bin hydrogen-data procps libcap2-bin e2fsprogs strace libacl1-dev
    xfsprogs btrfs-progs ntfs-3g dosfstools exfatprogs f2fs-tools
    libnfs-utils ffmpeg sox libsox-fmt-all sndfile-programs flac lame vorbis-tools opus-tools
    fluidsynth fluid-soundfont-gm
    thunar xvfb xauth dbus-daemon
  )
  packages_bench=(python3 bindfs rclone)
  packages_vm=(qemu-system-x86 busybox-static kmod cpio nfs-common)
  packages_cross=(rustc-web rust-web-src rust-web-clippy gcc-mingw-w64-x86-64-win32 wine64 clang pkg-config)
}

# A step that a person follows.
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
# A remark within a step.
note() { printf "   %s\n" "${*//[[:cntrl:]]/ }"; }
# One line on stderr saying what failed and what to do, then the end.
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Repeats a command until it succeeds, for about five seconds; only what it says the last time is heard on stderr.
soon() {
  local _
  for _ in $(seq 50); do
    "$@" 2>/dev/null && return 0
    sleep 0.1
  done
  "$@"
}

# Judges of file systems, of crates.io; where the tests look for them.
install_judges() {
  [ -x "$root/target/tools/bin/fsx" ] || cargo install --locked --quiet --root "$root/target/tools" fsx@0.3.2
  [ -x "$root/target/tools/bin/pjdfstest" ] ||
    cargo install --locked --quiet --root "$root/target/tools" pjdfstest@0.2.2
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: as it is for root, else through sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo; as root, run: $*"
  fi
}

# Those of the named packages that are not installed, one a line.
missing_packages() {
  local package state
  for package in "$@"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || true
    [ "$state" = installed ] || printf '%s\n' "$package"
  done
}

# Installs what is missing of the named packages. Does nothing, and needs no root, when all are there.
install_packages() {
  if ! have dpkg-query || ! have apt-get; then
    note "not Debian or Ubuntu: please see to it that you have what these packages have: $*"
    return 0
  fi
  local missing
  mapfile -t missing < <(missing_packages "$@" | sort -u)
  if [ "${#missing[@]}" = 0 ]; then
    note "system packages: all there"
    return 0
  fi
  note "installing: ${missing[*]}"
  # </dev/null and noninteractive: nothing may wait for an answer in CI.
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  local log
  log=$(mktemp)
  if ! { as_root "${apt[@]}" update && as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } </dev/null >"$log" 2>&1; then
    tail -n 25 "$log" >&2
    rm -f "$log"
    die "could not install ${missing[*]}; the lines above say why"
  fi
  rm -f "$log"
}

# Finds cargo, and says what to do where there is none or an old one.
require_cargo() {
  have cargo || PATH=$HOME/.cargo/bin:$PATH
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
  if ! have cargo; then
    cat >&2 <<TEXT
$(basename "$0"): no cargo here. mediafs is written in Rust and needs version $wanted or later. Either
  - install rustup from your distribution (Debian 13, Ubuntu 24.04 and later), then take the stable toolchain:
        sudo apt-get install rustup && rustup default stable
  - or follow the one line on https://rustup.rs, and open a new shell.
The packages cargo and rustc of older distributions are too old. Then run this again.
TEXT
    exit 1
  fi
  found=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p') || true
  [ -n "$found" ] || die "cargo is installed but does not run; with rustup, try: rustup default stable"
  if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    die "cargo is $found, and mediafs needs $wanted or later; with rustup, try: rustup update stable"
  fi
}

# Where cargo puts what it builds.
target_dir() {
  case ${CARGO_TARGET_DIR:-} in
    '') printf '%s/target\n' "$root" ;;
    /*) printf '%s\n' "$CARGO_TARGET_DIR" ;;
    *) printf '%s/%s\n' "$root" "$CARGO_TARGET_DIR" ;;
  esac
}

# Builds the program, and puts its path into `mediafs`. MEDIAFS names a ready one instead.
build_release() {
  if [ -n "${MEDIAFS:-}" ]; then
    [ -x "$MEDIAFS" ] || die "MEDIAFS=$MEDIAFS is not a program"
    mediafs=$MEDIAFS
    note "using $mediafs"
    return 0
  fi
  require_cargo
  (cd "$root" && cargo build --release --locked --bin mediafs "$@")
  mediafs=$(target_dir)/release/mediafs
}

# What kind of file system is mounted at this path, as the mount table calls it; nothing where none is.
# Asks the table and not the file system, so a mount whose daemon is dead is seen as well.
mounted_kind() {
  local path
  path=$(realpath -ms -- "$1")
  # The table writes backslash, space and tab as octal.
  path=$(printf '%s' "$path" | sed -e 's/\\/\\134/g' -e 's/ /\\040/g' -e 's/\t/\\011/g')
  awk 'BEGIN { path = ARGV[2]; ARGV[2] = "" } $2 == path { kind = $3 } END { if (kind) print kind }' /proc/mounts "$path"
}
