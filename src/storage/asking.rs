//! How the courier of a source is asked, and how long its answers are waited for before the source counts as hung.
//!
//! A short question has [`PATIENCE`]. What may take long is waited for as long as the source answers to something short
//! meanwhile, or until the limit of who asks.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mediafs_platform::volume::{Classifier, DeclaredTrusted, MountTable};

use super::courier::{Answers, Courier, CourierError};
use super::couriers::Couriers;
use super::message::{Question, Reply};
use super::source_key::SourceKey;
use super::sources::sort;
use crate::model::SourceKind;

/// How long one answer may take before its source counts as hung. A disk that wakes up needs some ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// How long an answer that may take long is waited for before its source is asked whether it answers at all: so that what
/// hangs is known to after [`PATIENCE`] in all.
const DOUBT: Duration = Duration::from_secs(4);

impl Couriers {
    /// Asks the courier of a source a question with one answer. A source that does not answer in time is suspended.
    pub(crate) fn ask(
        &self,
        source: &SourceKey,
        question: &Question,
        cancel: &AtomicBool,
    ) -> Result<(Reply, Vec<u8>), CourierError> {
        self.with(source, |courier| {
            courier.ask_once(question, PATIENCE, cancel)
        })
    }

    /// As [`Couriers::ask`], of a question with several answers; `last` says of each whether it is the last one. Each is
    /// waited for as in [`Couriers::ask_long`], for at most `longest`: a folder may be a large one on a slow source, or come
    /// from a cloud provider, and who looks at it may have to wait for those who read files. But a disk that says nothing of
    /// a folder for as long as a short question has is taken for hung, whatever else it answers.
    pub(crate) fn ask_all(
        &self,
        source: &SourceKey,
        question: &Question,
        longest: Duration,
        cancel: &AtomicBool,
        mut last: impl FnMut(Reply) -> bool,
    ) -> Result<(), CourierError> {
        let alive = Question::Resolve(source.root().into());
        self.with_long(source, |courier| {
            let answers = courier.ask(question)?;
            let mut comes = false;
            loop {
                let until = Instant::now() + longest;
                let proves = || comes || !is_disk(source);
                let (reply, _) = next_if_alive(courier, &answers, &alive, proves, until, cancel)?;
                comes |= reply == Reply::Coming;
                if last(reply) {
                    return Ok(());
                }
            }
        })
    }

    /// As [`Couriers::ask_all`], of a question that is more than one look: where an answer is long in coming, `alive`
    /// is asked too, and only if that has no answer either is the source taken for hung. After `limit` the courier is given
    /// up with [`CourierError::TooLong`], as what it works on may never end: it is ended when nobody waits for it any more.
    pub(crate) fn ask_long(
        &self,
        source: &SourceKey,
        question: &Question,
        alive: &Question,
        limit: Duration,
        cancel: &AtomicBool,
        mut last: impl FnMut(Reply, Vec<u8>) -> bool,
    ) -> Result<(), CourierError> {
        self.with_long(source, |courier| {
            let until = Instant::now() + limit;
            let answers = courier.ask(question)?;
            loop {
                let (reply, payload) =
                    next_if_alive(courier, &answers, alive, || true, until, cancel)?;
                if last(reply, payload) {
                    return Ok(());
                }
                if Instant::now() >= until {
                    return Err(CourierError::TooLong);
                }
            }
        })
    }

    /// As [`Couriers::ask_long`], of a question with one answer, `alive` being one after the source's root.
    pub(crate) fn ask_patiently(
        &self,
        source: &SourceKey,
        question: &Question,
        limit: Duration,
        cancel: &AtomicBool,
    ) -> Result<(Reply, Vec<u8>), CourierError> {
        let alive = Question::Resolve(source.root().into());
        let mut answer = None;
        self.ask_long(source, question, &alive, limit, cancel, |reply, payload| {
            answer = Some((reply, payload));
            true
        })?;
        answer.ok_or(CourierError::Ended)
    }
}

/// Whether a source is a disk, by the system's tables. Of its disks the system has much in memory: one that hangs may well
/// answer what is asked briefly.
fn is_disk(source: &SourceKey) -> bool {
    let Ok(table) = MountTable::read() else {
        return false;
    };
    // A cloud's folder is on a disk, and none.
    let at_root = table
        .holding(source.root())
        .filter(|entry| entry.mount_point == source.root());
    let classifier = Classifier::read(DeclaredTrusted::default());
    at_root
        .zip(classifier.ok())
        .is_some_and(|(entry, classifier)| sort(&classifier, entry) == Some(SourceKind::Volume))
}

/// The next answer, which may be long in coming, but not after `until`, as long as there is one to `alive`, if that `proves`
/// anything.
fn next_if_alive(
    courier: &Courier,
    answers: &Answers<'_>,
    alive: &Question,
    proves: impl Fn() -> bool,
    until: Instant,
    cancel: &AtomicBool,
) -> Result<(Reply, Vec<u8>), CourierError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match answers.next(left.min(DOUBT), cancel) {
            Err(CourierError::Silent) if !proves() => {
                return answers.next(PATIENCE - DOUBT, cancel);
            }
            Err(CourierError::Silent) => {
                courier.ask_once(alive, PATIENCE - DOUBT, cancel)?;
            }
            answered => return answered,
        }
        if Instant::now() >= until {
            return Err(CourierError::TooLong);
        }
    }
}

// Only Unix has programs for what is in a courier's place here.
#[cfg(all(test, unix))]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::{Path, PathBuf};

    use super::super::message::{Kind, send};
    use super::*;

    /// A program for what is in a courier's place, in `dir`: it says this, each the seconds to wait, the number of the
    /// question, and the answer to it.
    pub(crate) fn courier_that_says(dir: &Path, said: &[(f32, u64, Reply)]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;

        let mut script = "#!/bin/sh\n".to_owned();
        for (seconds, number, reply) in said {
            let mut frame = Vec::new();
            send(&mut frame, *number, reply, &[]).unwrap();
            let octal: String = frame.iter().map(|byte| format!("\\{byte:03o}")).collect();
            script += &format!("sleep {seconds}\nprintf '{octal}' >&0\n");
        }
        // Until nobody asks any more.
        script += "exec cat >/dev/null\n";
        let program = dir.join("courier");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        program
    }

    /// What is heard of a folder whose courier says this, and whether the source is suspended then.
    fn heard_of_one_that_says(
        said: &[(f32, u64, Reply)],
        longest: Duration,
    ) -> (Result<(), CourierError>, Vec<Reply>, bool) {
        let dir = tempfile::tempdir().unwrap();
        let program = courier_that_says(dir.path(), said);
        let couriers = Couriers::of_program(program);
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let mut heard = Vec::new();
        let (question, never) = (
            Question::Look(Path::new("/nothing").into()),
            AtomicBool::new(false),
        );
        let asked = couriers.ask_all(&source, &question, longest, &never, |reply| {
            let is_last = reply == Reply::NotAFolder;
            heard.push(reply);
            is_last
        });
        (asked, heard, couriers.is_suspended(&source))
    }

    /// What its courier says to who asks after the root.
    fn alive() -> Reply {
        Reply::Resolved {
            path: Path::new("/mnt/a").into(),
            kind: Kind::Folder,
        }
    }

    #[test]
    fn a_folder_that_comes_from_a_provider_is_waited_for() {
        let said = [(0.0, 0, Reply::Coming), (0.5, 0, Reply::NotAFolder)];
        let (asked, heard, _) = heard_of_one_that_says(&said, Duration::from_secs(30));
        asked.unwrap();
        assert_eq!(heard, [Reply::Coming, Reply::NotAFolder]);
    }

    #[test]
    fn one_that_does_not_come_is_given_up_and_its_source_goes_on() {
        // It answers to what is asked next.
        let said = [(0.0, 0, Reply::Coming), (1.0, 1, alive())];
        let (asked, heard, suspended) = heard_of_one_that_says(&said, Duration::from_millis(300));
        assert!(matches!(asked, Err(CourierError::TooLong)), "{asked:?}");
        assert!(heard == [Reply::Coming] && !suspended);
    }

    #[test]
    fn a_slow_folder_of_a_source_that_answers_is_waited_for() {
        // For longer than a short question is; meanwhile the root is asked after twice.
        let said = [
            (6.0, 1, alive()),
            (6.0, 2, alive()),
            (1.5, 0, Reply::NotAFolder),
        ];
        let (asked, heard, suspended) = heard_of_one_that_says(&said, Duration::from_secs(30));
        asked.unwrap();
        assert!(heard == [Reply::NotAFolder] && !suspended);
    }
}
