//! A courier: the child process through which one source is touched, seen from both sides.
//!
//! The child inherits nothing but one end of a line (`platform::line`), so that however it hangs it keeps nothing of ours
//! alive: not the drive, not the lock of the home. It answers several questions at a time. Who asked
//! waits for as long as it likes; a courier that is not wanted any more is killed if it can be, else left behind: it
//! ends when its system call does.

use std::collections::HashMap;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use mediafs_platform::line;
use parking_lot::Mutex;

use super::message::{Frame, Question, Reply, receive, send};

/// How often somebody who waits looks whether to go on.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the line may be full. The child's reader touches no storage, so it is never full for long.
const FULL: Duration = Duration::from_secs(2);
/// Questions that one courier works on at a time.
const HANDS: usize = 4;
/// Beside them, those that only ask whether the storage answers: files that take long must not hold them up.
const QUICK_HANDS: usize = 2;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CourierError {
    /// It took too long: the storage hangs.
    #[error("its storage does not answer")]
    Silent,
    /// The child ended.
    #[error("the process that reads its storage has ended")]
    Ended,
    /// The child could not be started.
    #[error("the process that reads its storage cannot be started: {0}")]
    NotStarted(#[source] std::io::Error),
    /// Its source was silent a moment ago.
    #[error("its storage did not answer; it is tried again in {} s", .0.as_secs().max(1))]
    Suspended(Duration),
    /// Who asked has changed their mind.
    #[error("it was called off")]
    Cancelled,
    /// Its source was let go, so that it can be unmounted.
    #[error("its storage was let go")]
    Released,
    /// The storage answers, but this takes too long.
    #[error("it takes too long")]
    TooLong,
}

type Pending = Mutex<HashMap<u64, Sender<Frame<Reply>>>>;

/// The parent's side.
pub(crate) struct Courier {
    line: Mutex<line::Sender>,
    pending: Arc<Pending>,
    next: AtomicU64,
    child: Mutex<Option<Child>>,
    released: AtomicBool,
    /// Kept as long as the child runs.
    runs: Arc<()>,
}

/// A courier that was given up: nobody asks it anything new. It is ended when nobody waits for an answer of it any more,
/// and runs on even then where it hangs in the kernel.
pub(super) struct GivenUp {
    pub(super) courier: Weak<Courier>,
    pub(super) runs: Weak<()>,
}

impl GivenUp {
    pub(super) fn of(courier: &Arc<Courier>) -> Self {
        Self {
            courier: Arc::downgrade(courier),
            runs: Arc::downgrade(&courier.runs),
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.runs.strong_count() > 0
    }

    /// It runs although it was ended.
    pub(super) fn hangs(&self) -> bool {
        self.courier.strong_count() == 0 && self.is_running()
    }
}

/// The answers to one question, as they come.
pub(crate) struct Answers<'c> {
    courier: &'c Courier,
    number: u64,
    frames: Receiver<Frame<Reply>>,
}

impl Courier {
    /// Starts a child of this program, which is to be `mediafs`.
    pub(super) fn start(program: &Path) -> Result<Self, CourierError> {
        let failed = CourierError::NotStarted;
        let (child, sender, mut reader) =
            line::start(program, "mediafs-courier", &["courier"], FULL).map_err(failed)?;
        let pending = Arc::new(Pending::default());
        let told = Arc::clone(&pending);
        std::thread::Builder::new()
            .name("courier".to_owned())
            .spawn(move || {
                while let Ok(Some(frame)) = receive::<Reply>(&mut reader) {
                    let waiting = told.lock().get(&frame.number).cloned();
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(frame);
                    }
                }
                // Nobody waits for an answer that can't come; nor can the child be asked again.
                reader.close();
                told.lock().clear();
            })
            .map_err(failed)?;
        Ok(Self {
            line: Mutex::new(sender),
            pending,
            next: AtomicU64::new(0),
            child: Mutex::new(Some(child)),
            released: AtomicBool::new(false),
            runs: Arc::new(()),
        })
    }

    /// Ends the child at once, whatever it works on; who waits for it is told that it was let go.
    pub(super) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
        self.end();
    }

    pub(super) fn was_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }

    /// Waits for the child to end, for at most so long.
    pub(super) fn wait_for_end(&self, longest: Duration) {
        let since = Instant::now();
        while since.elapsed() < longest {
            let ended = match self.child.lock().as_mut() {
                Some(child) => child.try_wait().is_ok_and(|status| status.is_some()),
                None => true,
            };
            if ended {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Until what this gives is dropped, its child counts as one that runs.
    #[cfg(all(test, unix))]
    pub(super) fn as_if_it_hangs(&self) -> Arc<()> {
        Arc::clone(&self.runs)
    }

    fn end(&self) {
        // First, so that nobody goes on writing to it.
        if let Some(child) = self.child.lock().as_mut() {
            let _ = child.kill();
        }
        self.line.lock().close();
    }

    fn ended(&self) -> CourierError {
        if self.was_released() {
            CourierError::Released
        } else {
            CourierError::Ended
        }
    }

    /// Asks; the answers come one by one.
    pub(crate) fn ask(&self, question: &Question) -> Result<Answers<'_>, CourierError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, frames) = unbounded();
        self.pending.lock().insert(number, sender);
        let answers = Answers {
            courier: self,
            number,
            frames,
        };
        match send(&mut *self.line.lock(), number, question, &[]) {
            Ok(()) => Ok(answers),
            Err(_) => Err(self.ended()),
        }
    }

    /// Asks a question that has one answer.
    pub(crate) fn ask_once(
        &self,
        question: &Question,
        patience: Duration,
        cancel: &AtomicBool,
    ) -> Result<(Reply, Vec<u8>), CourierError> {
        self.ask(question)?.next(patience, cancel)
    }
}

impl Answers<'_> {
    /// The next answer; waits for at most `patience`.
    pub(crate) fn next(
        &self,
        patience: Duration,
        cancel: &AtomicBool,
    ) -> Result<(Reply, Vec<u8>), CourierError> {
        let since = Instant::now();
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Err(CourierError::Cancelled);
            }
            match self.frames.recv_timeout(GLANCE) {
                Ok(frame) => return Ok((frame.header, frame.payload)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.courier.ended()),
                // Where lines are pipes, one that hangs and was ended keeps its end of them.
                Err(RecvTimeoutError::Timeout) if self.courier.was_released() => {
                    return Err(CourierError::Released);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if since.elapsed() >= patience {
                return Err(CourierError::Silent);
            }
        }
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.courier.pending.lock().remove(&self.number);
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.end();
        let Some(mut child) = self.child.lock().take() else {
            return;
        };
        // One that hangs in a system call is gone when that ends; somebody has to be there then.
        let runs = Arc::clone(&self.runs);
        let reap = move || {
            let _ = child.wait();
            drop(runs);
        };
        if let Err(error) = std::thread::Builder::new()
            .name("courier-end".to_owned())
            .spawn(reap)
        {
            tracing::warn!(%error, "nobody waits for a courier that ends");
        }
    }
}

/// What a courier does with a question: gives each answer to `tell`, the last one last.
pub(crate) trait Work: Send + Sync {
    fn answer(&self, question: Question, tell: &mut dyn FnMut(Reply, &[u8]));
    /// Nobody has asked for a second: whatever is open is closed, so that a disk can be unmounted.
    fn rest(&self);
    /// Who could answer has had nothing to do for a second, but others were asked: what is in the way of other programs is
    /// closed.
    fn give_way(&self) {}
}

/// The child's side: answers what comes over the line until the other side ends.
pub(crate) fn serve((sender, receiver): (line::Sender, line::Receiver), work: impl Work) {
    // A hand may hang in a call that never ends, and would be waited for.
    serve_until(sender, receiver, &work, || std::process::exit(0));
}

/// As [`serve`], and then `end`, before the hands are waited for.
fn serve_until(
    sender: line::Sender,
    mut reader: line::Receiver,
    work: &impl Work,
    end: impl FnOnce(),
) {
    const BREATH: Duration = Duration::from_secs(1);
    let writer = Mutex::new(sender);
    let asked = Mutex::new(Instant::now());
    std::thread::scope(|scope| {
        let (writer, asked) = (&writer, &asked);
        let hands = |count| {
            let (sender, questions) = unbounded::<Frame<Question>>();
            for _ in 0..count {
                let questions = questions.clone();
                scope.spawn(move || {
                    loop {
                        match questions.recv_timeout(BREATH) {
                            Ok(frame) => {
                                work.answer(frame.header, &mut |reply, payload| {
                                    tell(&mut writer.lock(), frame.number, &reply, payload);
                                });
                            }
                            Err(RecvTimeoutError::Timeout) => {
                                let is_idle = asked.lock().elapsed() >= BREATH;
                                if is_idle {
                                    work.rest();
                                } else {
                                    work.give_way();
                                }
                            }
                            Err(RecvTimeoutError::Disconnected) => return,
                        }
                    }
                });
            }
            sender
        };
        let (questions, quick) = (hands(HANDS), hands(QUICK_HANDS));
        while let Ok(Some(frame)) = receive::<Question>(&mut reader) {
            *asked.lock() = Instant::now();
            let is_quick = matches!(frame.header, Question::Resolve(_));
            let _ = if is_quick { &quick } else { &questions }.send(frame);
        }
        end();
    });
}

/// Sends an answer. One that is too long to be sent is a failure: who asked would wait for it, and take the storage for one
/// that hangs.
fn tell(to: &mut line::Sender, number: u64, reply: &Reply, payload: &[u8]) {
    // Where nobody listens any more, the reader sees the end.
    if let Err(error) = send(to, number, reply, payload)
        && error.kind() == std::io::ErrorKind::InvalidInput
    {
        let _ = send(to, number, &Reply::Failed(error.to_string()), &[]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::message::Kind;
    use super::*;

    /// Looking at a file takes until this says so.
    struct Slow(Receiver<()>);

    impl Work for Slow {
        fn answer(&self, question: Question, tell: &mut dyn FnMut(Reply, &[u8])) {
            match question {
                Question::Resolve(path) => {
                    let kind = Kind::Folder;
                    tell(Reply::Resolved { path, kind }, &[]);
                }
                _ => {
                    let _ = self.0.recv();
                    tell(Reply::NotFound, &[]);
                }
            }
        }

        fn rest(&self) {}
    }

    #[test]
    fn a_storage_is_known_to_answer_while_all_that_is_read_of_it_takes_long() {
        let [(mut ours, mut answers), (sender, receiver)] = line::pair().unwrap();
        let (go_on, slow) = unbounded();
        let serving = std::thread::spawn(move || {
            serve_until(sender, receiver, &Slow(slow), || ());
        });
        let path = || Path::new("/nothing").into();
        for number in 0..10 {
            send(&mut ours, number, &Question::Look(path()), &[]).unwrap();
        }
        send(&mut ours, 10, &Question::Resolve(path()), &[]).unwrap();
        let frame = receive::<Reply>(&mut answers).unwrap().unwrap();
        assert_eq!(frame.number, 10);
        drop(go_on);
        for _ in 0..10 {
            let frame = receive::<Reply>(&mut answers).unwrap().unwrap();
            assert_eq!(frame.header, Reply::NotFound);
        }
        ours.close();
        serving.join().unwrap();
    }

    /// Where lines are pipes nothing else tells.
    // Only Unix has programs for what is in a courier's place here.
    #[cfg(unix)]
    #[test]
    fn who_waits_for_one_that_does_not_end_is_told_that_it_was_let_go() {
        let courier = Courier::start(Path::new("/bin/grep")).unwrap();
        let question = Question::Look(Path::new("/nothing").into());
        let answers = courier.ask(&question).unwrap();
        courier.released.store(true, Ordering::SeqCst);
        let answer = answers.next(Duration::from_secs(10), &AtomicBool::new(false));
        assert!(matches!(answer, Err(CourierError::Released)), "{answer:?}");
    }

    /// Answers at once, some things with too much, and counts how often it was to rest and to give way.
    #[derive(Default)]
    struct Counting {
        rests: AtomicU64,
        ways: AtomicU64,
    }

    impl Work for &Counting {
        fn answer(&self, question: Question, tell: &mut dyn FnMut(Reply, &[u8])) {
            let too_much = vec![0; 1 + super::super::message::LONGEST_PAYLOAD as usize];
            match question {
                Question::Look(_) => tell(Reply::NotFound, &[]),
                Question::Probe(_) => tell(Reply::Bytes { fetched: false }, &too_much),
                _ => tell(Reply::Failed("x".repeat(5 << 20)), &[]),
            }
        }

        fn rest(&self) {
            self.rests.fetch_add(1, Ordering::SeqCst);
        }

        fn give_way(&self) {
            self.ways.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_a_failure_and_no_silence() {
        let [(mut ours, mut answers), (sender, receiver)] = line::pair().unwrap();
        let serving = std::thread::spawn(move || {
            serve_until(sender, receiver, &&Counting::default(), || ());
        });
        let path = || Path::new("/nothing").into();
        for question in [Question::Probe(path()), Question::Facts(path())] {
            send(&mut ours, 3, &question, &[]).unwrap();
            let frame = receive::<Reply>(&mut answers).unwrap().unwrap();
            assert_eq!(frame.number, 3);
            assert!(
                matches!(&frame.header, Reply::Failed(why) if why.len() < 100),
                "{:?}",
                frame.header
            );
        }
        ours.close();
        serving.join().unwrap();
    }

    #[test]
    fn one_rests_only_where_nobody_has_asked_anything() {
        let [(ours, answers), (sender, receiver)] = line::pair().unwrap();
        let counting = Counting::default();
        std::thread::scope(|scope| {
            let counting = &counting;
            scope.spawn(move || serve_until(sender, receiver, &counting, || ()));
            // Closed also where this fails, so that the other one ends.
            let (mut ours, mut answers) = (ours, answers);
            // Five of the six have nothing to do.
            let begun = Instant::now();
            let mut longest = Duration::ZERO;
            let mut last = begun;
            while begun.elapsed() < Duration::from_secs(3) {
                let question = Question::Look(Path::new("/nothing").into());
                send(&mut ours, 0, &question, &[]).unwrap();
                receive::<Reply>(&mut answers).unwrap().unwrap();
                std::thread::sleep(Duration::from_millis(50));
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            // Unless this machine was held up.
            if longest < Duration::from_millis(900) {
                assert_eq!(counting.rests.load(Ordering::SeqCst), 0);
            }
            assert!(counting.ways.load(Ordering::SeqCst) > 0);
            std::thread::sleep(Duration::from_millis(2500));
            assert!(counting.rests.load(Ordering::SeqCst) > 0);
            ours.close();
        });
    }
}
