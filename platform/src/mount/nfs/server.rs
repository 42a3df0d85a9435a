//! Connections: records of calls over TCP (RFC 5531, section 11), each call answered when its answer is there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::answered::Calls;
use super::export::Export;
use super::rpc::{self, Call, Refusal};
use super::{mounting, procedures};

/// The longest record that is taken: a write, and what is said of it.
const LONGEST: usize = procedures::LARGEST_WRITE as usize + (64 << 10);
/// What calls of one connection may hold that are not answered yet, in KiB. Who sends more waits: many small ones fit, and
/// as many large ones as there are threads for what a disk may hold up.
const UNANSWERED: usize = 512 << 10;
/// Answers that wait for being taken.
const ANSWERS: usize = 64;
/// How long it is waited when no connection can be had, as when too many files are open.
const AGAIN: Duration = Duration::from_millis(100);

const LAST_FRAGMENT: u32 = 1 << 31;
const NFS: u32 = 100_003;
const MOUNT: u32 = 100_005;
/// Of both.
const VERSION: u32 = 3;

/// Connections at a time: a kernel's client has one or a few. Any user of this machine may connect.
const CONNECTIONS: usize = 64;

/// Answers whoever connects. A connection ends with its client, and until then tells that all is stale once the export has
/// ended.
pub(super) async fn serve(listener: TcpListener, export: Arc<Export>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let calls = Arc::new(Calls::new());
    loop {
        // Who comes when there is no more room waits until somebody goes.
        let Ok(connected) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (export, calls) = (Arc::clone(&export), Arc::clone(&calls));
                tokio::spawn(async move {
                    let _connected = connected;
                    if let Err(error) = talk(stream, export, calls).await {
                        tracing::debug!(%error, "a connection by NFS has failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can connect by NFS");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn talk(stream: TcpStream, export: Arc<Export>, calls: Arc<Calls>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let connection = calls.connection();
    let (from, mut to) = stream.into_split();
    let (answers, mut ready) = mpsc::channel::<(Vec<u8>, OwnedSemaphorePermit)>(ANSWERS);
    tokio::spawn(async move {
        while let Some((answer, _held)) = ready.recv().await {
            if let Err(error) = to.write_all(&answer).await {
                tracing::debug!(%error, "an answer by NFS is not taken");
                return;
            }
        }
    });
    let room = Arc::new(Semaphore::new(UNANSWERED));
    let mut from = BufReader::with_capacity(64 << 10, from);
    while let Some(record) = read_record(&mut from).await? {
        let holds = u32::try_from(record.len().div_ceil(1 << 10).max(1)).unwrap_or(u32::MAX);
        let Ok(held) = Arc::clone(&room).acquire_many_owned(holds).await else {
            return Ok(());
        };
        let call = Call::read(record.clone()).map_err(|_| io::ErrorKind::InvalidData)?;
        let (export, calls, answers) = (Arc::clone(&export), Arc::clone(&calls), answers.clone());
        tokio::spawn(async move {
            let is_done_once = is_of_nfs(&call) && procedures::is_done_once(call.procedure);
            let answer = answer(&export, call);
            let answer = framed(match is_done_once {
                true => calls.once(record, connection, answer).await,
                false => {
                    // It may be as long as a write, of which the call has its own part.
                    drop(record);
                    answer.await
                }
            });
            // Whoever asked may be gone.
            let _ = answers.send((answer, held)).await;
        });
    }
    Ok(())
}

fn is_of_nfs(call: &Call) -> bool {
    (call.program, call.version) == (NFS, VERSION)
}

async fn answer(export: &Export, call: Call) -> Vec<u8> {
    if let Some(denial) = call.denial() {
        return denial;
    }
    let Call {
        transaction,
        program,
        version,
        procedure,
        user,
        arguments,
        ..
    } = call;
    let answer = match (program, version) {
        (NFS, VERSION) if !export.lets_in(user) && procedures::is_of_the_owner(procedure) => {
            Ok(procedures::turned_away(procedure))
        }
        (NFS, VERSION) => procedures::answer(export, procedure, arguments).await,
        (MOUNT, VERSION) => mounting::answer(export, procedure, arguments),
        (NFS | MOUNT, _) => Err(Refusal::OtherVersion(VERSION)),
        _ => Err(Refusal::NoProgram),
    };
    rpc::reply(transaction, answer)
}

/// A reply behind its length, as a record of one fragment.
fn framed(reply: Vec<u8>) -> Vec<u8> {
    // No answer is longer than what was asked for, at most a MiB and some.
    let length = u32::try_from(reply.len()).unwrap_or(0) | LAST_FRAGMENT;
    let mut framed = Vec::with_capacity(4 + reply.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&reply);
    framed
}

/// The next record, put together from its fragments; `None` at the end.
async fn read_record(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut record = BytesMut::new();
    loop {
        let head = match from.read_u32().await {
            Ok(head) => head,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && record.is_empty() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let length = (head & !LAST_FRAGMENT) as usize;
        if record.len() + length > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a record is too long",
            ));
        }
        let begun = record.len();
        record.resize(begun + length, 0);
        from.read_exact(&mut record[begun..]).await?;
        if head & LAST_FRAGMENT != 0 {
            return Ok(Some(record.freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    async fn records(mut sent: &[u8]) -> Vec<io::Result<Bytes>> {
        let mut records = Vec::new();
        loop {
            match read_record(&mut sent).await.transpose() {
                Some(Ok(record)) => records.push(Ok(record)),
                Some(Err(error)) => {
                    records.push(Err(error));
                    return records;
                }
                None => return records,
            }
        }
    }

    #[tokio::test]
    async fn a_record_is_made_of_its_fragments() {
        let mut sent = Vec::new();
        for (last, bytes) in [
            (false, &b"ab"[..]),
            (false, b""),
            (true, b"c"),
            (true, b"d"),
        ] {
            let length = u32::try_from(bytes.len()).unwrap() | if last { LAST_FRAGMENT } else { 0 };
            sent.extend_from_slice(&length.to_be_bytes());
            sent.extend_from_slice(bytes);
        }
        let read: Vec<_> = records(&sent)
            .await
            .into_iter()
            .map(io::Result::unwrap)
            .collect();
        assert_eq!(read, [&b"abc"[..], b"d"]);
        let cut = records(&sent[..sent.len() - 1]).await;
        assert!(cut[0].is_ok() && cut[1].is_err(), "one has no end");
    }

    #[tokio::test]
    async fn what_is_too_long_is_not_waited_for() {
        for length in [LONGEST as u32 + 1, u32::MAX] {
            assert!(records(&length.to_be_bytes()).await[0].is_err());
        }
        // In many fragments as well.
        let mut sent = Vec::new();
        for _ in 0..LONGEST / 1000 + 1 {
            sent.extend_from_slice(&1000_u32.to_be_bytes());
            sent.extend_from_slice(&[0; 1000]);
        }
        assert!(records(&sent).await[0].is_err());
    }
}
