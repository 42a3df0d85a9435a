//! The mount protocol, version 3 (RFC 1813, appendix I): the name of the export for the handle of its root.

use super::export::Export;
use super::rpc::Refusal;
use super::xdr::{Reader, Writer};

/// What authenticates a client: what it says that it is, or nothing.
const FLAVORS: [u32; 2] = [1, 0];

pub(super) fn answer(export: &Export, procedure: u32, mut from: Reader) -> Result<Writer, Refusal> {
    let mut to = Writer::default();
    match procedure {
        1 => match export.mounted(&from.bytes()?) {
            Ok(root) => {
                to.number(0).bytes(&export.handle_of(root));
                to.number(FLAVORS.len() as u32);
                for flavor in FLAVORS {
                    to.number(flavor);
                }
            }
            Err(status) => {
                to.number(status as u32);
            }
        },
        // Who has mounted what, and what can be mounted, is told to nobody.
        2 | 5 => {
            to.flag(false);
        }
        // NULL; and it was unmounted, one or all.
        0 | 3 | 4 => {}
        _ => return Err(Refusal::NoProcedure),
    }
    Ok(to)
}
