//! Calls that come a second time: a client whose connection broke before an answer came asks again on another one.
//!
//! What changes names is not done twice. Done again, a removal that went well would say that there is no such file, and a
//! program take that for an error. Calls are known by all that they say, the client's number for them among it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Calls that are known again. No client has as many on their way.
const CALLS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);
/// Those that are longer have no name that any drive would take, so that doing them again does nothing.
const LONGEST: usize = 4096;

/// Which connection a call came by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ConnectionId(u64);

#[derive(Debug)]
struct Answered {
    by: ConnectionId,
    answer: Arc<OnceCell<Vec<u8>>>,
}

/// The calls of all connections, and their answers.
#[derive(Debug)]
pub(super) struct Calls {
    answered: Mutex<LruCache<Bytes, Answered>>,
    connections: AtomicU64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            answered: Mutex::new(LruCache::new(CALLS)),
            connections: AtomicU64::new(0),
        }
    }

    pub(super) fn connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// What a call was answered that another connection brought, or is answered once it is done; else what `answer` gives.
    ///
    /// The same bytes by the same connection are another call: nobody repeats himself where nothing is lost, and there are
    /// clients that number their calls by the second.
    pub(super) async fn once(
        &self,
        call: Bytes,
        by: ConnectionId,
        answer: impl Future<Output = Vec<u8>>,
    ) -> Vec<u8> {
        if call.len() > LONGEST {
            return answer.await;
        }
        let known = {
            let mut answered = self.answered.lock();
            match answered.get(&call) {
                Some(known) if known.by != by => Arc::clone(&known.answer),
                _ => {
                    let answer = Arc::default();
                    let known = Arc::clone(&answer);
                    answered.push(call, Answered { by, answer });
                    known
                }
            }
        };
        known.get_or_init(|| answer).await.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::AtomicU8;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_that_another_connection_brings_again_is_not_done_again() {
        let (calls, done) = (Calls::new(), AtomicU8::new(0));
        let (first, second) = (calls.connection(), calls.connection());
        let ask = async |call: &'static [u8], by| {
            let answer = async { vec![done.fetch_add(1, Ordering::Relaxed)] };
            calls.once(Bytes::from_static(call), by, answer).await
        };
        assert_eq!(ask(b"remove a", first).await, [0]);
        assert_eq!(ask(b"remove a", second).await, [0]);
        assert_eq!(ask(b"remove b", second).await, [1]);
        // Who asks by the same connection means it.
        assert_eq!(ask(b"remove a", first).await, [2]);
        assert_eq!(ask(b"remove a", second).await, [2]);
    }

    #[tokio::test]
    async fn a_call_that_is_being_done_is_waited_for() {
        let calls = Arc::new(Calls::new());
        let (first, second) = (calls.connection(), calls.connection());
        let (finish, finished) = oneshot::channel();
        let call = Bytes::from_static(b"rename");
        let doing = tokio::spawn({
            let (calls, call) = (Arc::clone(&calls), call.clone());
            async move {
                let answer = async { finished.await.unwrap() };
                calls.once(call, first, answer).await
            }
        });
        tokio::task::yield_now().await;
        let again = calls.once(call, second, async { panic!("it is done already") });
        let mut again = std::pin::pin!(again);
        let soon = tokio::time::timeout(std::time::Duration::from_millis(20), &mut again).await;
        assert!(soon.is_err(), "it has no answer yet");
        finish.send(vec![7]).unwrap();
        assert_eq!(again.await, [7]);
        assert_eq!(doing.await.unwrap(), [7]);
    }
}
