//! A client of NFSv3 (RFC 1813) that says just what a test wants said, for what programs of libnfs do not: writing into a
//! file that is there, and nonsense.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) const NFS: u32 = 100_003;
pub(crate) const MOUNT: u32 = 100_005;

pub(crate) type Handle = Vec<u8>;
/// Names of a listing, each with its position, and whether they are the last ones.
pub(crate) type Part = (Vec<(Vec<u8>, u64)>, bool);

pub(crate) struct Client {
    stream: TcpStream,
    transaction: u32,
}

/// What goes out, in XDR.
#[derive(Default, Debug)]
pub(crate) struct Words(pub(crate) Vec<u8>);

impl Words {
    pub(crate) fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn long(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut words = self.number(u32::try_from(bytes.len()).unwrap());
        words.0.extend(bytes);
        words.0.resize(words.0.len().next_multiple_of(4), 0);
        words
    }
}

/// What has become of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) length: u32,
    pub(crate) how_sure: u32,
    pub(crate) verifier: u64,
}

/// What comes back.
pub(crate) struct Answer(Vec<u8>, usize);

impl Answer {
    pub(crate) fn number(&mut self) -> u32 {
        let bytes = self.0[self.1..self.1 + 4].try_into().unwrap();
        self.1 += 4;
        u32::from_be_bytes(bytes)
    }

    pub(crate) fn long(&mut self) -> u64 {
        u64::from(self.number()) << 32 | u64::from(self.number())
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let length = self.number() as usize;
        let bytes = self.0[self.1..self.1 + length].to_vec();
        self.1 += length.next_multiple_of(4);
        bytes
    }

    /// Attributes that may be there; gives the size.
    fn attributes(&mut self) -> Option<u64> {
        if self.number() == 0 {
            return None;
        }
        for _ in 0..5 {
            self.number();
        }
        let size = self.long();
        self.1 += 84 - 20 - 8;
        Some(size)
    }
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // A call goes out in two parts, of which the second would wait for the first to be taken.
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream,
            transaction: 1,
        }
    }

    /// Another connection of the same client, by which it goes on with the call that it made last.
    pub(crate) fn connect_anew(&self, port: u16) -> Self {
        Self {
            transaction: self.transaction - 1,
            ..Self::connect(port)
        }
    }

    pub(crate) fn send(&mut self, record: &[u8]) {
        let length = u32::try_from(record.len()).unwrap() | 1 << 31;
        self.stream.write_all(&length.to_be_bytes()).unwrap();
        self.stream.write_all(record).unwrap();
    }

    fn receive(&mut self) -> Answer {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let length = u32::from_be_bytes(length) & !(1 << 31);
        let mut answer = vec![0; length as usize];
        self.stream.read_exact(&mut answer).unwrap();
        Answer(answer, 0)
    }

    fn call(&mut self, program: u32, procedure: u32, words: Words) -> Answer {
        let (understood, answer) = self.try_call(program, procedure, &words);
        assert_eq!(understood, 0, "the call is understood");
        answer
    }

    /// Whether a call of either program, with whatever arguments, is understood: 0 if so; and what it is answered.
    pub(crate) fn try_call(
        &mut self,
        program: u32,
        procedure: u32,
        arguments: &Words,
    ) -> (u32, Answer) {
        self.transaction += 1;
        let mut call = Words::default()
            .number(self.transaction)
            .number(0)
            .number(2)
            .number(program)
            .number(3)
            .number(procedure);
        // Nobody's credentials.
        for _ in 0..2 {
            call = call.number(0).number(0);
        }
        call.0.extend(&arguments.0);
        self.send(&call.0);
        let mut answer = self.receive();
        assert_eq!(answer.number(), self.transaction);
        assert_eq!((answer.number(), answer.number()), (1, 0), "it is accepted");
        answer.number();
        answer.bytes();
        (answer.number(), answer)
    }

    /// The handle of an export, or the status.
    pub(crate) fn mount(&mut self, path: &str) -> Result<Handle, u32> {
        let mut answer = self.call(MOUNT, 1, Words::default().bytes(path.as_bytes()));
        match answer.number() {
            0 => Ok(answer.bytes()),
            status => Err(status),
        }
    }

    pub(crate) fn look_up(&mut self, folder: &Handle, name: &[u8]) -> Result<Handle, u32> {
        let words = Words::default().bytes(folder).bytes(name);
        let mut answer = self.call(NFS, 3, words);
        match answer.number() {
            0 => Ok(answer.bytes()),
            status => Err(status),
        }
    }

    pub(crate) fn size(&mut self, file: &Handle) -> Result<u64, u32> {
        let mut answer = self.call(NFS, 1, Words::default().bytes(file));
        match answer.number() {
            0 => {
                answer.1 += 20;
                Ok(answer.long())
            }
            status => Err(status),
        }
    }

    /// The number that programs see.
    pub(crate) fn inode(&mut self, file: &Handle) -> u64 {
        let mut answer = self.attributes_from(file, 52);
        answer.long()
    }

    /// When it was changed last, in seconds and nanoseconds: what a client goes by that keeps a list.
    pub(crate) fn changed(&mut self, node: &Handle) -> u64 {
        let mut answer = self.attributes_from(node, 76);
        answer.long()
    }

    /// How many names it has.
    pub(crate) fn links(&mut self, node: &Handle) -> u32 {
        self.attributes_from(node, 8).number()
    }

    fn attributes_from(&mut self, node: &Handle, at: usize) -> Answer {
        let mut answer = self.call(NFS, 1, Words::default().bytes(node));
        assert_eq!(answer.number(), 0);
        answer.1 += at;
        answer
    }

    pub(crate) fn read(&mut self, file: &Handle, at: u64, length: u32) -> Result<Vec<u8>, u32> {
        let words = Words::default().bytes(file).long(at).number(length);
        let mut answer = self.call(NFS, 6, words);
        let status = answer.number();
        answer.attributes();
        if status != 0 {
            return Err(status);
        }
        answer.number();
        answer.number();
        Ok(answer.bytes())
    }

    pub(crate) fn write(&mut self, file: &Handle, at: u64, data: &[u8]) -> Result<u32, u32> {
        // Once it is answered, it is on the disk.
        let written = self.write_as(2, file, at, data)?;
        assert_eq!(written.how_sure, 2);
        Ok(written.length)
    }

    pub(crate) fn write_as(
        &mut self,
        how_sure: u32,
        file: &Handle,
        at: u64,
        data: &[u8],
    ) -> Result<Written, u32> {
        let length = u32::try_from(data.len()).unwrap();
        let words = Words::default()
            .bytes(file)
            .long(at)
            .number(length)
            .number(how_sure)
            .bytes(data);
        let mut answer = self.call(NFS, 7, words);
        let status = answer.number();
        if status != 0 {
            return Err(status);
        }
        if answer.number() == 1 {
            answer.1 += 24;
        }
        answer.attributes();
        Ok(Written {
            length: answer.number(),
            how_sure: answer.number(),
            verifier: answer.long(),
        })
    }

    /// All that was written is on the disk then. Gives the verifier.
    pub(crate) fn commit(&mut self, file: &Handle) -> Result<u64, u32> {
        let words = Words::default().bytes(file).long(0).number(0);
        let mut answer = self.call(NFS, 21, words);
        let status = answer.number();
        if answer.number() == 1 {
            answer.1 += 24;
        }
        answer.attributes();
        match status {
            0 => Ok(answer.long()),
            status => Err(status),
        }
    }

    /// REMOVE and RMDIR, RENAME, MKDIR.
    pub(crate) fn change(&mut self, procedure: u32, words: Words) -> u32 {
        self.call(NFS, procedure, words).number()
    }

    /// What of this is granted.
    pub(crate) fn access(&mut self, node: &Handle, wanted: u32) -> Result<u32, u32> {
        let mut answer = self.call(NFS, 4, Words::default().bytes(node).number(wanted));
        let status = answer.number();
        answer.attributes();
        match status {
            0 => Ok(answer.number()),
            status => Err(status),
        }
    }

    /// A part of a listing behind a position, without attributes; and whether it is the last one.
    pub(crate) fn list(&mut self, folder: &Handle, behind: u64, most: u32) -> Result<Part, u32> {
        let words = Words::default().bytes(folder).long(behind).long(0);
        let mut answer = self.call(NFS, 16, words.number(most));
        let status = answer.number();
        answer.attributes();
        if status != 0 {
            return Err(status);
        }
        answer.long();
        let mut names = Vec::new();
        while answer.number() == 1 {
            answer.long();
            names.push((answer.bytes(), answer.long()));
        }
        assert!(
            answer.0.len() <= 24 + most as usize,
            "it is no longer than that"
        );
        Ok((names, answer.number() == 1))
    }

    /// How many bytes there are, and how many of them are free.
    pub(crate) fn room(&mut self, root: &Handle) -> (u64, u64) {
        let mut answer = self.call(NFS, 18, Words::default().bytes(root));
        assert_eq!(answer.number(), 0);
        answer.attributes();
        (answer.long(), answer.long())
    }

    /// A call of a program that there is not, or in a version that there is not: how it is accepted.
    pub(crate) fn unknown(&mut self, program: u32, version: u32, procedure: u32) -> u32 {
        let call = Words::default().number(7).number(0).number(2);
        let call = call.number(program).number(version).number(procedure);
        self.send(&call.number(0).number(0).number(0).number(0).0);
        let mut answer = self.receive();
        assert_eq!((answer.number(), answer.number()), (7, 1));
        assert_eq!(answer.number(), 0, "it is accepted");
        answer.number();
        answer.bytes();
        answer.number()
    }
}
