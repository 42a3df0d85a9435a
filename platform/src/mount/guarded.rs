//! Answers that come later, kept from taking others with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::drive::{BoxFuture, DriveError};

/// A panic while the future is polled becomes an I/O error of its request.
pub(super) async fn guarded<T>(
    mut answer: BoxFuture<'static, Result<T, DriveError>>,
) -> Result<T, DriveError> {
    std::future::poll_fn(move |context| {
        catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)))
            .unwrap_or(Poll::Ready(Err(DriveError::Io)))
    })
    .await
}
