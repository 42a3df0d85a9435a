//! `mediafs cache`: what is kept of sounds on storage that can go away.

use super::output::{self, Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    CacheEvict, CacheStats, CacheVerify, EvictParams, LostCopy, Nothing,
};

/// Look after the cache
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// How full it is
    Stats {
        #[command(flatten)]
        report: Report,
    },
    /// Read everything in it again; what is damaged is set aside
    Verify {
        #[command(flatten)]
        report: Report,
    },
    /// Make room: what was not used for the longest time goes first, never what is pinned or open
    Evict {
        /// How much, in megabytes (10^6 bytes); all that may go if left out
        #[arg(long, value_name = "MB")]
        megabytes: Option<u32>,
        #[command(flatten)]
        report: Report,
    },
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let mut out = Out::new();
    let mut done = Done::Well;
    match &arguments.what {
        What::Stats { report } => {
            let stats = client.call::<CacheStats>(&Nothing {})?;
            if report.json {
                out.json(&stats)?;
            } else {
                out.facts(&[
                    (
                        "objects",
                        format!("{} ({})", stats.objects, output::size(stats.bytes)),
                    ),
                    ("pinned", output::size(stats.pinned_bytes)),
                    ("arriving", output::size(stats.reserved_bytes)),
                    ("set aside", output::size(stats.damaged_bytes)),
                    ("limit", output::size(stats.quota_bytes)),
                    ("kept free", output::size(stats.free_floor_bytes)),
                ])?;
            }
        }
        What::Verify { report } => {
            let verified = client.call::<CacheVerify>(&Nothing {})?;
            if !verified.damaged.is_empty() || !verified.vanished.is_empty() {
                done = Done::Badly;
            }
            if report.json {
                out.json(&verified)?;
            } else {
                out.line(&format!(
                    "{} intact ({})",
                    counted(verified.intact, "object", "objects"),
                    output::size(verified.intact_bytes)
                ))?;
                for id in &verified.damaged {
                    out.line(&lost(id, &verified.sounds, "was damaged and is set aside"))?;
                }
                for id in &verified.vanished {
                    out.line(&lost(id, &verified.sounds, "had vanished from the disk"))?;
                }
            }
        }
        What::Evict { megabytes, report } => {
            let params = EvictParams {
                bytes: megabytes.map(|mb| u64::from(mb) * 1_000_000),
            };
            let evicted = client.call::<CacheEvict>(&params)?;
            if report.json {
                out.json(&evicted)?;
            } else {
                out.line(&format!("{} are free again", output::size(evicted.bytes)))?;
            }
        }
    }
    out.flush()?;
    Ok(done)
}

/// What became of an object, by the names of the sounds that it was a copy of.
fn lost(id: &str, sounds: &[LostCopy], how: &str) -> String {
    let of: Vec<&LostCopy> = sounds.iter().filter(|sound| sound.blake3 == id).collect();
    if of.is_empty() {
        return format!("{} {how}", plain(id));
    }
    let names: Vec<String> = of.iter().map(|sound| plain(&sound.name)).collect();
    let again = if of.iter().any(|sound| sound.fetched_again) {
        "; it is fetched again"
    } else {
        ""
    };
    format!(
        "the copy of {} {how}{again} ({})",
        names.join(", "),
        plain(id)
    )
}
