//! The couriers of all sources: started when needed, ended when idle, refused while their source is suspended.
//!
//! A source is named by its [`SourceKey`]. One that does not answer in time is *suspended*: its courier is left behind,
//! and everybody is told so at once. When its pause is over the next question, whoever asks it, goes to a new courier
//! and is the probe that brings the source back or suspends it for longer; there is one at a time. Listeners
//! ([`Couriers::on_change`]) are told of both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mediafs_platform::this_process;
use mediafs_platform::volume::{MountId, MountTable};
use parking_lot::Mutex;

use super::courier::{Answers, Courier, CourierError, Running};
use super::message::{Question, Reply};

/// How long one answer may take before its source counts as hung. A disk that wakes up needs some ten seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
/// How long an answer that may take long is waited for before its source is asked whether it answers at all: so that what
/// hangs is known to after [`PATIENCE`] in all.
const DOUBT: Duration = Duration::from_secs(4);
/// How long a source that was silent is left alone: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long who finds out whether it is back waits: as long as a machine may sleep.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a courier that was killed is waited for. One that hangs in its disk does not end.
const END: Duration = Duration::from_millis(700);
/// Couriers of a source that hang in the kernel at a time. They can't be ended, and end by themselves if it ever answers;
/// until then no more are sent after them.
const MOST_LEFT: usize = 4;

/// The name of a source: the absolute path, without links, of the place where it hangs in the system's tree. For a
/// volume or share that is where it is mounted, for a cloud root the folder that the client manages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SourceKey(PathBuf);

impl SourceKey {
    /// The source that hangs at `root`.
    pub(crate) fn at(root: PathBuf) -> Self {
        Self(root)
    }

    /// The file system that holds `path` (absolute, without links), by the system's table: no storage is touched.
    pub(crate) fn holding(path: &Path) -> Self {
        let table = MountTable::read().ok();
        let mount = table.as_ref().and_then(|table| table.holding(path));
        let root = || path.ancestors().last().unwrap_or(path);
        Self(
            mount
                .map_or_else(root, |mount| &mount.mount_point)
                .to_owned(),
        )
    }

    /// Where it hangs.
    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

/// What is told of a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceChange {
    /// It did not answer in time.
    Suspended,
    /// It was suspended, and answers.
    Answers,
}

type ToldChange = Arc<dyn Fn(&SourceKey, SourceChange) + Send + Sync>;

/// All couriers of a process.
pub(crate) struct Couriers {
    /// What is started.
    program: PathBuf,
    sources: Mutex<HashMap<SourceKey, Source>>,
    listeners: Mutex<Vec<ToldChange>>,
    /// Somebody calls [`Couriers::probe`] for sources that are to be probed, so nobody else need try them.
    has_prober: AtomicBool,
}

impl Default for Couriers {
    fn default() -> Self {
        // Where the system does not tell, none can be started, and that is said then.
        Self::of_program(this_process::program().unwrap_or_default())
    }
}

/// One source.
#[derive(Default)]
struct Source {
    courier: Option<Arc<Courier>>,
    used: Option<Instant>,
    suspended: Option<Suspended>,
    /// It was let go of: nobody asks it anything.
    let_go: Option<LetGo>,
    /// Couriers that were sent to find out whether it answers and have not ended, each with the mount in which it hangs.
    left: Vec<(Running, Option<MountId>)>,
    /// Another one for each thing that hangs there.
    life: Arc<()>,
}

/// How long a source is let go of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LetGo {
    /// Until something else is mounted there.
    ForGood,
    /// Until it turns out whether it is unmounted.
    ForNow,
}

/// A courier that is asked something.
struct Sent {
    courier: Arc<Courier>,
    /// What hung there when it was asked.
    life: Arc<()>,
    /// It finds out whether the source answers again.
    probes: bool,
}

impl Source {
    /// Nobody is to be sent to find out whether it answers: those who went are still there.
    fn swallows(&mut self, root: &Path) -> bool {
        self.left.retain(|(running, _)| running.is_running());
        if self.left.len() < MOST_LEFT {
            return false;
        }
        // What is mounted there now may be another one.
        let now = mount_of(root);
        self.left.retain(|(_, mount)| *mount == now);
        self.left.len() >= MOST_LEFT
    }

    /// What an answer of its courier, or that there was none, says of it; what is to be told of that.
    fn judge(
        &mut self,
        key: &SourceKey,
        sent: &Sent,
        failed: Option<&CourierError>,
    ) -> Option<SourceChange> {
        self.used = Some(Instant::now());
        let is_ours = |of: &Arc<Courier>| Arc::ptr_eq(of, &sent.courier);
        let is_present = self.courier.as_ref().is_some_and(is_ours);
        // Who was asked before it was suspended, and has no answer, ends no probe.
        if sent.probes
            && let Some(suspended) = &mut self.suspended
        {
            suspended.probing = false;
        }
        match failed {
            _ if sent.courier.was_released() => None,
            None => self.suspended.take().map(|_| SourceChange::Answers),
            Some(CourierError::Silent) if is_present => {
                let before = self.suspended;
                let pause = before.map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LONGEST_PAUSE));
                self.suspended = Some(Suspended {
                    until: Instant::now() + pause,
                    pause,
                    probing: false,
                });
                // It is left behind.
                self.courier = None;
                if before.is_some() {
                    // Where only one file hangs, who asks for the source's root comes back.
                    self.left
                        .push((sent.courier.running(), mount_of(key.root())));
                    None
                } else {
                    Some(SourceChange::Suspended)
                }
            }
            // Several waited for one courier: when the first has given it up, the others say nothing new. Nor does who
            // no longer wants to know.
            Some(CourierError::Silent | CourierError::Cancelled) => None,
            Some(_) => {
                self.courier.take_if(|courier| is_ours(courier));
                None
            }
        }
    }
}

/// The next answer, which may be long in coming, but not after `until`, as long as there is one to `alive`.
fn next_if_alive(
    courier: &Courier,
    answers: &Answers<'_>,
    alive: &Question,
    until: Instant,
    cancel: &AtomicBool,
) -> Result<(Reply, Vec<u8>), CourierError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match answers.next(left.min(DOUBT), cancel) {
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

/// What is mounted where a source is, by the system's table.
fn mount_of(root: &Path) -> Option<MountId> {
    Some(MountTable::read().ok()?.holding(root)?.id)
}

#[derive(Clone, Copy)]
struct Suspended {
    until: Instant,
    pause: Duration,
    /// Somebody finds out whether it answers again.
    probing: bool,
}

impl Couriers {
    /// Couriers are processes of this program, which is to be `mediafs`.
    pub(crate) fn of_program(program: PathBuf) -> Self {
        Self {
            program,
            sources: Mutex::default(),
            listeners: Mutex::default(),
            has_prober: AtomicBool::new(false),
        }
    }

    /// Calls `told` whenever a source is suspended or answers again, on the thread that found out. It must not block.
    pub(crate) fn on_change(
        &self,
        told: impl Fn(&SourceKey, SourceChange) + Send + Sync + 'static,
    ) {
        self.listeners.lock().push(Arc::new(told));
    }

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

    /// As [`Couriers::ask`], of a question with several answers; `last` says of each whether it is the last one. Where the
    /// courier says that it is [`Reply::Coming`], it is waited for as in [`Couriers::ask_long`], for at most `longest`.
    pub(crate) fn ask_all(
        &self,
        source: &SourceKey,
        question: &Question,
        longest: Duration,
        cancel: &AtomicBool,
        mut last: impl FnMut(Reply) -> bool,
    ) -> Result<(), CourierError> {
        self.with(source, |courier| {
            let answers = courier.ask(question)?;
            let (mut reply, _) = answers.next(PATIENCE, cancel)?;
            if reply == Reply::Coming {
                let alive = Question::Resolve(source.root().into());
                let until = Instant::now() + longest;
                (reply, _) = next_if_alive(courier, &answers, &alive, until, cancel)?;
            }
            while !last(reply) {
                (reply, _) = answers.next(PATIENCE, cancel)?;
            }
            Ok(())
        })
    }

    /// As [`Couriers::ask_all`], of a question that is more than one look: where an answer is long in coming, `alive`
    /// is asked too, and only if that has no answer either is the source taken for hung. After `limit` the courier is
    /// ended with [`CourierError::TooLong`], as what it works on may never end.
    pub(crate) fn ask_long(
        &self,
        source: &SourceKey,
        question: &Question,
        alive: &Question,
        limit: Duration,
        cancel: &AtomicBool,
        mut last: impl FnMut(Reply, Vec<u8>) -> bool,
    ) -> Result<(), CourierError> {
        self.with(source, |courier| {
            let until = Instant::now() + limit;
            let answers = courier.ask(question)?;
            loop {
                let (reply, payload) = next_if_alive(courier, &answers, alive, until, cancel)?;
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

    /// Finds out whether a suspended source answers again, if its pause is over and nobody else does. Waits until it does,
    /// or `cancel` says so: a question that hangs is answered the moment its storage is back, and a second one would not be
    /// answered sooner, but leave another process behind.
    pub(crate) fn probe(
        &self,
        source: &SourceKey,
        cancel: &AtomicBool,
    ) -> Result<(), CourierError> {
        let question = Question::Resolve(source.root().into());
        self.with_as(source, true, |courier| {
            courier.ask_once(&question, FOR_EVER, cancel)
        })
        .map(drop)
    }

    /// From now on somebody probes sources as soon as they are to be probed; all others are told at once that they are
    /// suspended.
    pub(crate) fn have_prober(&self) {
        self.has_prober.store(true, Ordering::Relaxed);
    }

    /// Suspended sources whose pause is over, and of which nobody finds out yet whether they answer again.
    pub(crate) fn to_be_probed(&self) -> Vec<SourceKey> {
        let now = Instant::now();
        let sources = self.sources.lock();
        let each = sources.iter().filter(|(_, source)| {
            let suspended = source.suspended.filter(|suspended| !suspended.probing);
            suspended.is_some_and(|suspended| suspended.until <= now)
        });
        each.map(|(key, _)| key.clone()).collect()
    }

    /// Whether a source is suspended.
    pub(crate) fn is_suspended(&self, source: &SourceKey) -> bool {
        let sources = self.sources.lock();
        sources
            .get(source)
            .is_some_and(|source| source.suspended.is_some())
    }

    /// Ends a source's courier at once, so that it can be unmounted; who waits for an answer is told
    /// [`CourierError::Released`]. The next question starts another one.
    pub(crate) fn release(&self, source: &SourceKey) {
        let courier = self
            .sources
            .lock()
            .get_mut(source)
            .and_then(|source| source.courier.take());
        if let Some(courier) = courier {
            courier.release();
        }
    }

    /// As [`Couriers::release`], and until [`Couriers::renew`] nobody asks it anything: [`CourierError::Released`]. Waits a
    /// little for the courier to have ended, so that nothing of it is open any more.
    pub(crate) fn let_go(&self, source: &SourceKey) {
        let courier = {
            let mut sources = self.sources.lock();
            let source = sources.entry(source.clone()).or_default();
            source.let_go = Some(LetGo::ForGood);
            source.courier.take()
        };
        if let Some(courier) = courier {
            courier.release();
            courier.wait_for_end(END);
        }
    }

    /// As [`Couriers::let_go`], of all sources at and below `point`, and until [`Couriers::take_up_below`].
    pub(crate) fn let_go_below(&self, point: &Path) {
        let couriers: Vec<Arc<Courier>> = {
            let mut sources = self.sources.lock();
            // Also where nobody has asked anything yet.
            sources.entry(SourceKey(point.to_owned())).or_default();
            sources
                .iter_mut()
                .filter(|(key, _)| key.root().starts_with(point))
                .filter_map(|(_, source)| {
                    source.let_go.get_or_insert(LetGo::ForNow);
                    source.courier.take()
                })
                .collect()
        };
        let until = Instant::now() + END;
        for courier in &couriers {
            courier.release();
        }
        for courier in couriers {
            courier.wait_for_end(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Sources at and below `point` may be asked again, but for those that were let go of by [`Couriers::let_go`].
    pub(crate) fn take_up_below(&self, point: &Path) {
        let mut sources = self.sources.lock();
        for (_, source) in sources
            .iter_mut()
            .filter(|(key, _)| key.root().starts_with(point))
        {
            source.let_go.take_if(|let_go| *let_go == LetGo::ForNow);
        }
    }

    /// Something else hangs there from now on, or nothing: what was found out of what hung there before counts no more.
    pub(crate) fn renew(&self, source: &SourceKey) {
        let before = self.sources.lock().remove(source);
        if let Some(courier) = before.and_then(|source| source.courier) {
            courier.release();
        }
    }

    /// Ends the couriers that nobody asks anything now.
    pub(crate) fn end_idle(&self) {
        self.end_idle_for(Duration::ZERO);
    }

    /// Ends the couriers that nobody has asked anything for so long.
    pub(crate) fn end_idle_for(&self, time: Duration) {
        for source in self.sources.lock().values_mut() {
            if source.used.is_none_or(|used| used.elapsed() >= time) {
                source
                    .courier
                    .take_if(|courier| Arc::strong_count(courier) == 1);
            }
        }
    }

    fn with<T>(
        &self,
        key: &SourceKey,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        self.with_as(key, !self.has_prober.load(Ordering::Relaxed), ask)
    }

    fn with_as<T>(
        &self,
        key: &SourceKey,
        may_probe: bool,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        let sent = self.courier(key, may_probe)?;
        let answer = ask(&sent.courier);
        let told = self
            .sources
            .lock()
            .get_mut(key)
            // Nothing is said of what hangs there by now where what was asked was another.
            .filter(|source| Arc::ptr_eq(&source.life, &sent.life))
            .and_then(|source| source.judge(key, &sent, answer.as_ref().err()));
        drop(sent);
        if let Some(change) = told {
            let listeners = self.listeners.lock().clone();
            for told in listeners {
                told(key, change);
            }
        }
        answer
    }

    fn courier(&self, key: &SourceKey, may_probe: bool) -> Result<Sent, CourierError> {
        let mut sources = self.sources.lock();
        let source = sources.entry(key.clone()).or_default();
        if source.let_go.is_some() {
            return Err(CourierError::Released);
        }
        if let Some(suspended) = source.suspended {
            let left = suspended.until.saturating_duration_since(Instant::now());
            if !left.is_zero() || suspended.probing || !may_probe {
                return Err(CourierError::Suspended(left));
            }
            if source.swallows(key.root()) {
                return Err(CourierError::Suspended(FIRST_PAUSE));
            }
        }
        let courier = match &source.courier {
            Some(courier) => Arc::clone(courier),
            None => {
                let courier = Arc::new(Courier::start(&self.program)?);
                source.courier = Some(Arc::clone(&courier));
                courier
            }
        };
        source.used = Some(Instant::now());
        let probes = source.suspended.is_some();
        if let Some(suspended) = &mut source.suspended {
            suspended.probing = true;
        }
        Ok(Sent {
            courier,
            life: Arc::clone(&source.life),
            probes,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[cfg(unix)]
    use crossbeam_channel::unbounded;

    use super::*;

    /// In a courier's place, which only Unix has programs for: reads all that it is asked, says nothing, and ends with whoever asks.
    #[cfg(unix)]
    const NEVER_ANSWERS: &str = "/bin/grep";

    #[cfg(unix)]
    fn question() -> Question {
        Question::Look(Path::new("/nothing").into())
    }

    #[cfg(unix)]
    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

    #[cfg(unix)]
    #[test]
    fn a_courier_that_ends_is_no_silent_source() {
        let couriers = Couriers::of_program(PathBuf::from("/bin/false"));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let asked = couriers.ask(&source, &question(), &never());
        assert!(matches!(asked, Err(CourierError::Ended)), "{asked:?}");
        assert!(!couriers.is_suspended(&source));
        let none = Couriers::of_program(PathBuf::from("/nothing"));
        let asked = none.ask(&source, &question(), &never());
        assert!(matches!(asked, Err(CourierError::NotStarted(_))));
    }

    /// What is heard of a folder whose courier says that it comes, and then what is made of these: seconds to wait, the
    /// number of the question, and the answer to it.
    #[cfg(unix)]
    fn heard_of_one_that_comes(
        then: &[(f32, u64, Reply)],
        longest: Duration,
    ) -> (Result<(), CourierError>, Vec<Reply>, bool) {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let mut script = "#!/bin/sh\n".to_owned();
        for (seconds, number, reply) in [(0.0, 0, Reply::Coming)].iter().chain(then) {
            let mut frame = Vec::new();
            super::super::message::send(&mut frame, *number, reply, &[]).unwrap();
            let octal: String = frame.iter().map(|byte| format!("\\{byte:03o}")).collect();
            script += &format!("sleep {seconds}\nprintf '{octal}' >&0\n");
        }
        // Until nobody asks any more.
        script += "exec cat >/dev/null\n";
        let program = dir.path().join("courier");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let couriers = Couriers::of_program(program);
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let mut heard = Vec::new();
        let asked = couriers.ask_all(&source, &question(), longest, &never(), |reply| {
            heard.push(reply);
            true
        });
        (asked, heard, couriers.is_suspended(&source))
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_comes_from_a_provider_is_waited_for() {
        let then = [(0.5, 0, Reply::NotAFolder)];
        let (asked, heard, _) = heard_of_one_that_comes(&then, Duration::from_secs(30));
        asked.unwrap();
        assert_eq!(heard, [Reply::NotAFolder]);
    }

    #[cfg(unix)]
    #[test]
    fn one_that_does_not_come_is_given_up_and_its_source_goes_on() {
        let alive = Reply::Resolved {
            path: Path::new("/mnt/a").into(),
            kind: super::super::message::Kind::Folder,
        };
        // It answers to what is asked next.
        let then = [(1.0, 1, alive)];
        let (asked, heard, suspended) = heard_of_one_that_comes(&then, Duration::from_millis(300));
        assert!(matches!(asked, Err(CourierError::TooLong)), "{asked:?}");
        assert!(heard.is_empty() && !suspended);
    }

    #[cfg(unix)]
    #[test]
    fn who_waits_is_told_when_its_source_is_let_go() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| couriers.ask(&source, &question(), &never()));
            std::thread::sleep(Duration::from_millis(200));
            couriers.release(&source);
            asking.join().unwrap()
        });
        assert!(matches!(asked, Err(CourierError::Released)), "{asked:?}");
        assert!(!couriers.is_suspended(&source));
        let called_off = couriers.ask(&source, &question(), &AtomicBool::new(true));
        assert!(matches!(called_off, Err(CourierError::Cancelled)));
        couriers.end_idle_for(Duration::from_secs(60));
        assert!(couriers.sources.lock()[&source].courier.is_some());
        couriers.end_idle();
        assert!(couriers.sources.lock()[&source].courier.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_source_that_many_wait_for_is_suspended_once() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        std::thread::scope(|scope| {
            for n in 0..4 {
                let (couriers, source) = (&couriers, &source);
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(100 * n));
                    let asked = couriers.ask(source, &question(), &never());
                    assert!(matches!(asked, Err(CourierError::Silent)), "{asked:?}");
                });
            }
        });
        let pause = couriers.sources.lock()[&source].suspended.unwrap().pause;
        assert_eq!(pause, FIRST_PAUSE);
    }

    #[cfg(unix)]
    #[test]
    fn what_hung_there_before_says_nothing_of_what_hangs_there_now() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let silent = |_: &Courier| Err::<(), _>(CourierError::Silent);
        for late in [Err(CourierError::Silent), Ok(())] {
            let was_fine = late.is_err();
            let asked = couriers.with(&source, |_| {
                // Another gives the courier up, then something else is mounted there.
                assert!(couriers.with(&source, silent).is_err());
                couriers.renew(&source);
                let asked = couriers.with(&source, |_| {
                    if was_fine {
                        Ok(())
                    } else {
                        Err(CourierError::Silent)
                    }
                });
                assert_eq!(asked.is_ok(), was_fine);
                late
            });
            assert_ne!(asked.is_ok(), was_fine);
            assert_ne!(couriers.is_suspended(&source), was_fine);
            couriers.renew(&source);
        }
    }

    #[cfg(unix)]
    #[test]
    fn who_was_asked_before_it_was_suspended_ends_no_probe() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let called_off = couriers.with(&source, |_| {
            let silent = |_: &Courier| Err::<(), _>(CourierError::Silent);
            assert!(couriers.with(&source, silent).is_err());
            let mut sources = couriers.sources.lock();
            let suspended = sources.get_mut(&source).unwrap().suspended.as_mut();
            suspended.unwrap().probing = true;
            Err::<(), _>(CourierError::Cancelled)
        });
        assert!(called_off.is_err());
        assert!(couriers.sources.lock()[&source].suspended.unwrap().probing);
    }

    #[test]
    fn nobody_is_sent_where_too_many_hang() {
        let running = Arc::new(());
        let hangs = |mount| (Running::of(&running), mount);
        let here = std::env::current_dir().unwrap();
        let root = here.ancestors().last().unwrap();
        let mut source = Source::default();
        let other = mount_of(root).map(|id| MountId(id.0 + 1_000_000));
        source.left = (0..MOST_LEFT).map(|_| hangs(other)).collect();
        assert!(!source.swallows(root), "another file system is there now");
        source.left = (0..MOST_LEFT).map(|_| hangs(mount_of(root))).collect();
        assert!(source.swallows(root));
        drop(running);
        assert!(!source.swallows(root), "they have ended");
    }

    #[cfg(unix)]
    #[test]
    fn a_silent_source_is_suspended_and_probed_by_one() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let (told, changes) = unbounded();
        couriers.on_change(move |source, change| told.send((source.clone(), change)).unwrap());
        let asked = couriers.ask(&source, &question(), &never());
        assert!(matches!(asked, Err(CourierError::Silent)), "{asked:?}");
        assert_eq!(
            changes.try_recv().unwrap(),
            (source.clone(), SourceChange::Suspended)
        );
        let at_once = couriers.ask(&source, &question(), &never());
        assert!(matches!(at_once, Err(CourierError::Suspended(_))));
        assert!(couriers.is_suspended(&source));
        assert_eq!(couriers.to_be_probed(), []);
        // Another one goes on.
        let other = SourceKey::at(PathBuf::from("/mnt/b"));
        let asked = couriers.ask(&other, &question(), &AtomicBool::new(true));
        assert!(matches!(asked, Err(CourierError::Cancelled)));

        std::thread::sleep(FIRST_PAUSE);
        assert_eq!(couriers.to_be_probed(), std::slice::from_ref(&source));
        let stop = never();
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| couriers.probe(&source, &stop).is_err());
            std::thread::sleep(Duration::from_millis(300));
            let second = couriers.probe(&source, &never());
            assert!(matches!(second, Err(CourierError::Suspended(_))));
            stop.store(true, Ordering::Relaxed);
            assert!(probe.join().unwrap());
        });
        assert!(changes.try_recv().is_err(), "it is told once");
    }
}
