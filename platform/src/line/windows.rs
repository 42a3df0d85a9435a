//! Two pipes, one each way.

use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::windows::io::{AsHandle, OwnedHandle};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Where to write, until one of the two is closed.
type Slot = Arc<Mutex<Option<Arc<PipeWriter>>>>;

#[derive(Debug)]
pub(super) struct Sender(Slot);

#[derive(Debug)]
pub(super) struct Receiver {
    from: Option<PipeReader>,
    sender: Slot,
}

pub(super) fn start(
    program: &Path,
    name: &str,
    arguments: &[&str],
    _longest: Duration,
) -> io::Result<(Child, Sender, Receiver)> {
    let (questions, sender) = pipe()?;
    let (answers, answering) = pipe()?;
    let mut command = crate::this_process::begin(program, name);
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::from(questions))
        .stdout(Stdio::from(answering))
        .stderr(Stdio::null());
    // Parts of the system are not found without.
    for needed in ["SystemRoot", "SystemDrive", "windir"] {
        if let Some(value) = std::env::var_os(needed) {
            command.env(needed, value);
        }
    }
    let child = command.spawn()?;
    // The child alone has its ends: so they close with it.
    drop(command);
    let (sender, receiver) = both(sender, answers);
    Ok((child, sender, receiver))
}

pub(super) fn inherited() -> io::Result<(Sender, Receiver)> {
    let (input, output) = (io::stdin(), io::stdout());
    if input.is_terminal() || output.is_terminal() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its standard input and output are not pipes",
        ));
    }
    let owned = |handle: std::os::windows::io::BorrowedHandle<'_>| -> io::Result<OwnedHandle> {
        handle.try_clone_to_owned()
    };
    let answers = PipeReader::from(owned(input.as_handle())?);
    let sender = PipeWriter::from(owned(output.as_handle())?);
    Ok(both(sender, answers))
}

pub(super) fn pair() -> io::Result<[(Sender, Receiver); 2]> {
    let (one, other) = (pipe()?, pipe()?);
    Ok([both(one.1, other.0), both(other.1, one.0)])
}

fn both(sender: PipeWriter, from: PipeReader) -> (Sender, Receiver) {
    let slot = Arc::new(Mutex::new(Some(Arc::new(sender))));
    let receiver = Receiver {
        from: Some(from),
        sender: Arc::clone(&slot),
    };
    (Sender(slot), receiver)
}

impl Sender {
    pub(super) fn close(&mut self) {
        self.0.lock().take();
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A write may wait for whoever reads, and closing must not wait for that.
        let pipe = self.0.lock().clone();
        match pipe {
            Some(pipe) => (&*pipe).write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Receiver {
    pub(super) fn close(&mut self) {
        self.from = None;
        self.sender.lock().take();
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.from {
            Some(pipe) => pipe.read(buffer),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A courier that hangs reads nothing, and is let go all the same.
    #[test]
    fn a_write_that_waits_holds_up_no_close() {
        let [(mut sender, mut receiver), (_answering, other)] = pair().unwrap();
        let (tell, told) = mpsc::channel();
        let writer = thread::spawn(move || {
            let more = vec![0; 1 << 16];
            let mut written = 0;
            loop {
                tell.send(written).unwrap();
                match sender.write(&more) {
                    Ok(bytes) => written += bytes,
                    Err(error) => return error,
                }
            }
        });
        // Until it waits for a reader.
        while told.recv_timeout(Duration::from_millis(500)).is_ok() {}
        assert!(!writer.is_finished(), "nobody has read");
        let (closed, is_closed) = mpsc::channel();
        let closer = thread::spawn(move || {
            receiver.close();
            closed.send(()).unwrap();
        });
        is_closed.recv_timeout(Duration::from_secs(10)).unwrap();
        closer.join().unwrap();
        drop(other);
        assert_eq!(writer.join().unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
