//! Calls of ONC RPC (RFC 5531), and replies to them.

use bytes::Bytes;

use super::xdr::{Garbage, Reader, Writer};

const CALL: u32 = 0;
const REPLY: u32 = 1;
const VERSION: u32 = 2;
/// Credentials that say which user of the client's system asks (AUTH_SYS).
const OF_THE_SYSTEM: u32 = 1;

/// A call of a procedure.
pub(super) struct Call {
    pub(super) transaction: u32,
    version_of_rpc: u32,
    pub(super) program: u32,
    pub(super) version: u32,
    pub(super) procedure: u32,
    /// The user that the client says it asks for.
    pub(super) user: Option<u32>,
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
    pub(super) fn read(record: Bytes) -> Result<Self, Garbage> {
        let mut from = Reader::new(record);
        let transaction = from.number()?;
        if from.number()? != CALL {
            return Err(Garbage);
        }
        let (version_of_rpc, program) = (from.number()?, from.number()?);
        let (version, procedure) = (from.number()?, from.number()?);
        let (flavor, credentials) = (from.number()?, from.bytes()?);
        let user = match flavor {
            OF_THE_SYSTEM => Some(user_of(Reader::new(credentials))?),
            _ => None,
        };
        let (_verifiers_flavor, _verifier) = (from.number()?, from.bytes()?);
        Ok(Self {
            transaction,
            version_of_rpc,
            program,
            version,
            procedure,
            user,
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

/// The user in credentials of [`OF_THE_SYSTEM`].
fn user_of(mut credentials: Reader) -> Result<u32, Garbage> {
    let _stamp = credentials.number()?;
    let _machine = credentials.bytes()?;
    credentials.number()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn call(flavor: u32, credentials: &Writer) -> Result<Call, Garbage> {
        let mut to = Writer::default();
        to.number(7).number(CALL).number(VERSION);
        to.number(100_003).number(3).number(1);
        to.number(flavor).bytes(credentials.as_bytes());
        to.number(0).bytes(b"");
        Call::read(to.into_bytes().into())
    }

    #[test]
    fn a_call_says_for_which_user_it_asks() {
        let mut credentials = Writer::default();
        credentials.number(1).bytes(b"studio").number(501);
        credentials.number(20).number(0);
        assert_eq!(call(1, &credentials).unwrap().user, Some(501));
        assert_eq!(call(0, &Writer::default()).unwrap().user, None);
        // Others are not known here.
        assert_eq!(call(6, &credentials).unwrap().user, None);
        let mut cut = Writer::default();
        cut.number(1).number(u32::MAX);
        assert!(call(1, &cut).is_err());
    }
}
