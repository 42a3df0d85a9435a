//! A line to a process that this one starts: what is written at one end is read at the other, both ways.
//!
//! The child inherits nothing but its end: on Unix one of a pair of sockets as its standard input, on Windows two pipes as
//! its standard input and output.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

/// Where to write.
#[derive(Debug)]
pub struct Sender(system::Sender);

/// Where to read. At the end of the other side nothing comes any more.
#[derive(Debug)]
pub struct Receiver(system::Receiver);

/// Starts `program` with nothing of our environment, called `name` in lists of processes. Writing fails when the line was
/// full for `longest`; on Windows it waits until the child reads, or ends.
///
/// # Errors
/// What the system says.
pub fn start(
    program: &Path,
    name: &str,
    arguments: &[&str],
    longest: Duration,
) -> io::Result<(Child, Sender, Receiver)> {
    let (child, sender, receiver) = system::start(program, name, arguments, longest)?;
    Ok((child, Sender(sender), Receiver(receiver)))
}

/// The end that this process was started with.
///
/// # Errors
/// When there is none.
pub fn inherited() -> io::Result<(Sender, Receiver)> {
    system::inherited().map(|(sender, receiver)| (Sender(sender), Receiver(receiver)))
}

/// Both ends of a line within this process.
///
/// # Errors
/// What the system says.
pub fn pair() -> io::Result<[(Sender, Receiver); 2]> {
    Ok(system::pair()?.map(|(sender, receiver)| (Sender(sender), Receiver(receiver))))
}

impl Sender {
    /// Nothing passes any more, either way, as far as this end can see to it.
    pub fn close(&mut self) {
        self.0.close();
    }
}

impl Receiver {
    /// As [`Sender::close`].
    pub fn close(&mut self) {
        self.0.close();
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_until_the_end() {
        let [(mut sender, mut answers), (mut answering, mut questions)] = pair().unwrap();
        let other = std::thread::spawn(move || {
            let mut question = [0; 5];
            questions.read_exact(&mut question).unwrap();
            answering.write_all(&question.map(|byte| byte + 1)).unwrap();
            assert_eq!(questions.read(&mut question).unwrap(), 0);
        });
        sender.write_all(b"HALLO").unwrap();
        let mut answer = [0; 5];
        answers.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"IBMMP");
        sender.close();
        assert!(sender.write_all(b"x").is_err());
        other.join().unwrap();
        assert_eq!(answers.read(&mut answer).unwrap(), 0);
    }

    #[test]
    fn a_closed_receiver_ends_the_sender() {
        let [(mut sender, mut receiver), (_answering, mut questions)] = pair().unwrap();
        receiver.close();
        assert!(sender.write_all(b"x").is_err());
        assert_eq!(questions.read(&mut [0]).unwrap(), 0);
    }

    /// Echoes once. Runs only as a child of the test below.
    #[test]
    #[ignore = "a part of another test"]
    fn child_with_a_line() {
        let Ok((mut sender, mut receiver)) = inherited() else {
            return;
        };
        let mut text = [0; 5];
        receiver.read_exact(&mut text).unwrap();
        sender.write_all(b"<line>").unwrap();
        sender.write_all(&text).unwrap();
        // To the end of the other side.
        let _ = receiver.read(&mut text);
        std::process::exit(7);
    }

    #[test]
    fn a_child_has_the_other_end() {
        let program = std::env::current_exe().unwrap();
        let arguments = [
            "--ignored",
            "--exact",
            "--nocapture",
            "line::tests::child_with_a_line",
        ];
        let (mut child, mut sender, mut receiver) =
            start(&program, "mediafs-test", &arguments, Duration::from_secs(2)).unwrap();
        sender.write_all(b"HALLO").unwrap();
        // On Windows what the test runner says comes before.
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !read.ends_with(b"<line>HALLO") {
            receiver.read_exact(&mut byte).unwrap();
            read.extend(byte);
        }
        assert!(child.try_wait().unwrap().is_none());
        sender.close();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
}
