//! What is known of versions of WinFsp, for `doctor` to say.

/// The first version whose driver is not known to stop for good. Its changelog has the mends in its betas: of notices beside
/// renames (its pull request 669) from 2.2B2 on, of a daemon that is ended while it reads (issue 682) from 2.2B4 on, which is
/// 2.2.26215. The DLL tells the first two numbers only, so betas before that one pass for good here.
const MENDED: (u32, u32) = (2, 2);

/// What may happen with an older version.
pub(super) const MAY_STOP: &str = "the driver of this version may stop the whole drive until the computer is started anew, \
     when something is renamed while changes are told, and it has the security holes CVE-2026-3006 and CVE-2026-7162";

/// What to do about it.
pub(super) const NEWER: &str = "install WinFsp 2.2 (2.2.26215 or later) from https://winfsp.dev/rel/, or from \
     https://github.com/winfsp/winfsp/releases while it is a beta";

/// Should a newer one be installed?
pub(super) fn is_old(version: (u32, u32)) -> bool {
    version < MENDED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_old_before_their_mends() {
        for old in [(1, 12), (2, 0), (2, 1)] {
            assert!(is_old(old), "{old:?}");
        }
        for mended in [(2, 2), (2, 10), (3, 0)] {
            assert!(!is_old(mended), "{mended:?}");
        }
    }
}
