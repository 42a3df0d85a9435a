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
use parking_lot::Mutex;

use super::courier::{Courier, CourierError};
use super::message::Question;
use super::source_key::SourceKey;
use super::standing::{FIRST_PAUSE, LetGo, Sent, Source, SourceChange};

/// How long who finds out whether it is back waits: as long as a machine may sleep.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a courier that was killed is waited for. One that hangs in its disk does not end.
const END: Duration = Duration::from_millis(700);

/// What a courier is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Something that takes a moment.
    Briefly,
    /// Something that may take long, or for ever.
    AtLength,
    /// Whether its source answers again.
    Whether,
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

    /// Finds out whether a suspended source answers again, if its pause is over and nobody else does. Waits until it does,
    /// or `cancel` says so: a question that hangs is answered the moment its storage is back, and a second one would not be
    /// answered sooner, but leave another process behind.
    pub(crate) fn probe(
        &self,
        source: &SourceKey,
        cancel: &AtomicBool,
    ) -> Result<(), CourierError> {
        let question = Question::Resolve(source.root().into());
        self.with_as(source, Asks::Whether, |courier| {
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
            // Nobody asks one that was let go of anything.
            if source.let_go.is_some() {
                return false;
            }
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

    /// Ends a source's couriers at once, so that it can be unmounted; who waits for an answer is told
    /// [`CourierError::Released`]. The next question starts another one, if any may be started.
    pub(crate) fn release(&self, source: &SourceKey) {
        let mut sources = self.sources.lock();
        let couriers = sources
            .get_mut(source)
            .map(|of| of.give_all_up(source.root()));
        drop(sources);
        for courier in couriers.unwrap_or_default() {
            courier.release();
        }
    }

    /// As [`Couriers::release`], and until [`Couriers::renew`] nobody asks it anything: [`CourierError::Released`]. Waits a
    /// little for the couriers to have ended, so that nothing of them is open any more.
    pub(crate) fn let_go(&self, source: &SourceKey) {
        let couriers = {
            let mut sources = self.sources.lock();
            let of = sources.entry(source.clone()).or_default();
            of.let_go = Some(LetGo::ForGood);
            of.give_all_up(source.root())
        };
        end(couriers);
    }

    /// As [`Couriers::let_go`], of all sources at and below `point`, and until [`Couriers::take_up_below`].
    pub(crate) fn let_go_below(&self, point: &Path) {
        let couriers = {
            let mut sources = self.sources.lock();
            // Also where nobody has asked anything yet.
            sources.entry(SourceKey::at(point.to_owned())).or_default();
            let below = sources.iter_mut();
            let below = below.filter(|(key, _)| key.root().starts_with(point));
            let couriers = below.flat_map(|(key, source)| {
                source.let_go.get_or_insert(LetGo::ForNow);
                source.give_all_up(key.root())
            });
            couriers.collect()
        };
        end(couriers);
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
        let couriers = before.map(|mut before| before.give_all_up(source.root()));
        for courier in couriers.unwrap_or_default() {
            courier.release();
        }
    }

    /// Ends the couriers that nobody asks anything now.
    pub(crate) fn end_idle(&self) {
        self.end_idle_for(Duration::ZERO);
    }

    /// Ends the couriers that nobody has asked anything for so long.
    pub(crate) fn end_idle_for(&self, time: Duration) {
        for (key, source) in self.sources.lock().iter_mut() {
            let is_alone = |courier: &Arc<Courier>| Arc::strong_count(courier) == 1;
            if source.used.is_none_or(|used| used.elapsed() >= time)
                && source.courier.as_ref().is_some_and(is_alone)
            {
                // What nobody waited for any more may hang in it.
                source.give_up(key.root());
            }
        }
    }

    /// Asks the courier of a source, and judges the source by what comes of it.
    pub(super) fn with<T>(
        &self,
        key: &SourceKey,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        self.with_as(key, Asks::Briefly, ask)
    }

    /// As [`Couriers::with`], of what may take long: where it is called off, the courier is given up.
    pub(super) fn with_long<T>(
        &self,
        key: &SourceKey,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        self.with_as(key, Asks::AtLength, ask)
    }

    fn with_as<T>(
        &self,
        key: &SourceKey,
        asks: Asks,
        ask: impl FnOnce(&Courier) -> Result<T, CourierError>,
    ) -> Result<T, CourierError> {
        let sent = self.courier(key, asks)?;
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

    fn courier(&self, key: &SourceKey, asks: Asks) -> Result<Sent, CourierError> {
        let may_probe = asks == Asks::Whether || !self.has_prober.load(Ordering::Relaxed);
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
        }
        let courier = match source.courier.clone() {
            Some(courier) => courier,
            None if source.swallows(key.root()) => {
                return Err(CourierError::Suspended(FIRST_PAUSE));
            }
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
            is_long: asks == Asks::AtLength,
        })
    }
}

/// Ends couriers, and waits a little until they have.
fn end(couriers: Vec<Arc<Courier>>) {
    let until = Instant::now() + END;
    for courier in &couriers {
        courier.release();
    }
    for courier in couriers {
        courier.wait_for_end(until.saturating_duration_since(Instant::now()));
    }
}

// Only Unix has programs for what is in a courier's place here.
#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crossbeam_channel::unbounded;

    use super::*;

    /// In a courier's place: reads all that it is asked, says nothing, and ends with whoever asks.
    const NEVER_ANSWERS: &str = "/bin/grep";

    fn question() -> Question {
        Question::Look(Path::new("/nothing").into())
    }

    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

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

    #[test]
    fn a_long_question_that_is_called_off_keeps_no_hand_and_who_waits_beside_it_goes_on() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let limit = Duration::from_secs(60);
        let waiting = std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| couriers.ask_patiently(&source, &question(), limit, &never()));
            std::thread::sleep(Duration::from_millis(200));
            let present = || couriers.sources.lock()[&source].courier.clone();
            assert!(present().is_some());
            let called_off = AtomicBool::new(true);
            let asked = couriers.ask_patiently(&source, &question(), limit, &called_off);
            assert!(matches!(asked, Err(CourierError::Cancelled)), "{asked:?}");
            assert!(present().is_none());
            assert!(!couriers.is_suspended(&source));
            assert!(!waiting.is_finished());
            // It is in nobody's way who wants to unmount.
            couriers.let_go(&source);
            waiting.join().unwrap()
        });
        assert!(
            matches!(waiting, Err(CourierError::Released)),
            "{waiting:?}"
        );
    }

    #[test]
    fn nobody_is_sent_after_those_that_hang_whatever_they_were_asked() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let mut hanging = Vec::new();
        let mut ask = |error: CourierError| {
            couriers.with_long(&source, |courier| {
                hanging.push(courier.as_if_it_hangs());
                Err::<(), _>(error)
            })
        };
        for n in 0..4 {
            let error = match n % 2 {
                0 => CourierError::TooLong,
                _ => CourierError::Cancelled,
            };
            assert!(!matches!(ask(error), Err(CourierError::Suspended(_))));
        }
        let asked = ask(CourierError::TooLong);
        assert!(
            matches!(asked, Err(CourierError::Suspended(_))),
            "{asked:?}"
        );
        hanging.clear();
        // They have ended by then.
        std::thread::sleep(Duration::from_millis(500));
        couriers.with(&source, |_| Ok(())).unwrap();
    }

    #[test]
    fn nobody_finds_out_of_what_was_let_go_of() {
        let couriers = Couriers::of_program(PathBuf::from(NEVER_ANSWERS));
        let source = SourceKey::at(PathBuf::from("/mnt/a"));
        let silent = |_: &Courier| Err::<(), _>(CourierError::Silent);
        assert!(couriers.with(&source, silent).is_err());
        std::thread::sleep(FIRST_PAUSE);
        assert_eq!(couriers.to_be_probed(), std::slice::from_ref(&source));
        couriers.let_go(&source);
        assert_eq!(couriers.to_be_probed(), []);
    }

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
