//! Calls of ONC RPC (RFC 5531), and replies to them.

use bytes::Bytes;

use super::xdr::{Garbage, Reader, Writer};

const CALL: u32 = 0;
const REPLY: u32 = 1;
const VERSION: u32 = 2;

/// A call of a procedure.
pub(super) struct Call {
    pub(super) transaction: u32,
    version_of_rpc: u32,
    pub(super) program: u32,
    pub(super) version: u32,
    pub(super) procedure: u32,
    pub(super) arguments: Reader,
}

/// Why a procedure was not called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoProgram,
    /// The one that there is.
    OtherVersion(u32),
    NoProcedure,
    Garbage,
}

impl From<Garbage> for Refusal {
    fn from(_: Garbage) -> Self {
        Self::Garbage
    }
}

impl Call {
    /// Who calls is not looked at: whoever knows the handles may.
    pub(super) fn read(record: Bytes) -> Result<Self, Garbage> {
        let mut from = Reader::new(record);
        let transaction = from.number()?;
        if from.number()? != CALL {
            return Err(Garbage);
        }
        let (version_of_rpc, program) = (from.number()?, from.number()?);
        let (version, procedure) = (from.number()?, from.number()?);
        for _credentials_and_verifier in 0..2 {
            from.number()?;
            from.bytes()?;
        }
        Ok(Self {
            transaction,
            version_of_rpc,
            program,
            version,
            procedure,
            arguments: from,
        })
    }

    /// The reply to a call of another RPC than is spoken here.
    pub(super) fn denial(&self) -> Option<Vec<u8>> {
        if self.version_of_rpc == VERSION {
            return None;
        }
        let mut to = Writer::default();
        to.number(self.transaction).number(REPLY);
        // It is denied, as the version is not between these two.
        to.number(1).number(0).number(VERSION).number(VERSION);
        Some(to.into_bytes())
    }
}

/// The reply to a call of the transaction that `call` had.
pub(super) fn reply(transaction: u32, answer: Result<Writer, Refusal>) -> Vec<u8> {
    let mut to = Writer::default();
    // It is accepted, and nothing verifies the server.
    to.number(transaction).number(REPLY).number(0);
    to.number(0).number(0);
    match answer {
        Ok(answer) => to.number(0).raw(answer.as_bytes()),
        Err(Refusal::NoProgram) => to.number(1),
        Err(Refusal::OtherVersion(known)) => to.number(2).number(known).number(known),
        Err(Refusal::NoProcedure) => to.number(3),
        Err(Refusal::Garbage) => to.number(4),
    };
    to.into_bytes()
}
