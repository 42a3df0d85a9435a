//! Times as Windows counts them: in units of 100 ns since 1601. See `FILETIME` in Microsoft's documentation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds from 1601 to 1970.
const TO_1970: u64 = 11_644_473_600;
/// Units in a second.
pub(crate) const PER_SECOND: u64 = 10_000_000;

/// What is before 1601 is 1601.
pub(crate) fn of(time: SystemTime) -> u64 {
    let to_1970 = Duration::from_secs(TO_1970);
    let since_1601 = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => to_1970.saturating_add(after),
        Err(before) => to_1970.saturating_sub(before.duration()),
    };
    since_1601
        .as_secs()
        .saturating_mul(PER_SECOND)
        .saturating_add(u64::from(since_1601.subsec_nanos() / 100))
}

/// `None` for what the clock type of this system can't hold.
pub(crate) fn to_time(ticks: u64) -> Option<SystemTime> {
    let nanoseconds = u32::try_from(ticks % PER_SECOND).ok()? * 100;
    let since_1601 = Duration::new(ticks / PER_SECOND, nanoseconds);
    let in_1601 = UNIX_EPOCH.checked_sub(Duration::from_secs(TO_1970))?;
    in_1601.checked_add(since_1601)
}

/// Whole seconds since 1970, and nanoseconds beyond them.
#[cfg(any(windows, test))]
pub(crate) fn since_1970(ticks: i64) -> (i64, i64) {
    let per_second = PER_SECOND.cast_signed();
    (
        ticks.div_euclid(per_second) - TO_1970.cast_signed(),
        ticks.rem_euclid(per_second) * 100,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_1970: u64 = 116_444_736_000_000_000;

    #[test]
    fn times_of_windows_are_those_of_everybody() {
        assert_eq!(to_time(IN_1970), Some(UNIX_EPOCH));
        assert_eq!(
            to_time(IN_1970 + 15_000_000),
            Some(UNIX_EPOCH + Duration::from_millis(1500))
        );
        assert!(to_time(0).is_some_and(|time| time < UNIX_EPOCH));
        for ticks in [0, 1, IN_1970 - 1, IN_1970, IN_1970 + 1_234_567] {
            assert_eq!(to_time(ticks).map(of), Some(ticks));
        }
        assert_eq!(of(UNIX_EPOCH - Duration::from_secs(TO_1970)), 0);
        // Windows itself has no such time.
        #[cfg(unix)]
        assert_eq!(of(UNIX_EPOCH - Duration::from_secs(TO_1970 + 9)), 0);
    }

    #[test]
    fn what_is_before_1970_has_seconds_below_zero_and_nanoseconds_above() {
        let ticks = IN_1970.cast_signed();
        assert_eq!(since_1970(ticks + 1), (0, 100));
        assert_eq!(since_1970(ticks - 1), (-1, 999_999_900));
    }
}
