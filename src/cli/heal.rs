//! `mediafs heal`: finds copies that are silence in the place of sounds, and puts the true bytes in.
//!
//! This process alone reads the folder, which may be anywhere; the daemon is asked what a file is by its size and hash. A
//! file that is silent in part is told by comparing it, block by block, with the sound and with its silence.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::methods::{
    DriveStatus, MediaSilence, MediaStandIn, Nothing, SilenceParams, StandIn, StandInParams, Which,
};
use crate::control::{BlockingClient as Client, WirePath};
use crate::model::{ObjectHash, display_name, path_text, shown_name};

/// Blocks in which a file that may be silent in part is compared.
const BLOCK: usize = 4096;
/// Folders deeper than this are not entered.
const DEEPEST: usize = 256;

/// Find copies that are silence in the place of sounds, and put the true bytes in
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder, with everything below it, or a file
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Put the true bytes in the place of each, where it is certain which, and they can be had; what was silent in part is
    /// kept beside it as NAME.before-heal
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    report: Report,
}

/// What was found.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    path: WirePath,
    media_id: String,
    name: String,
    /// How many other sounds have the same silence.
    others: u64,
    /// `whole` or `part`.
    silent: &'static str,
    fixed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let status = client.call::<DriveStatus>(&Nothing {})?;
    let mount = status.mount.map(|mount| mount.point.0);
    let mut out = Out::new();
    let (mut found, mut looked, mut unreadable) = (Vec::new(), 0_u64, 0_u64);
    for file in files_below(&arguments.folder)? {
        // Of the drive itself nothing is a copy.
        if mount.as_ref().is_some_and(|mount| file.starts_with(mount)) {
            continue;
        }
        looked += 1;
        let judged = judge(&mut client, mount.as_deref(), &file);
        let Some(judgement) = (match judged {
            Ok(judged) => judged,
            Err(Trouble::File(error)) => {
                unreadable += 1;
                eprintln!("mediafs: {}: {error}", plain(&path_text(&file)));
                continue;
            }
            Err(Trouble::Asking(error)) => return Err(error),
        }) else {
            continue;
        };
        let (item, silent, others) = match judgement {
            Judgement::Whole(item, others) => (item, "whole", others),
            Judgement::Part(item) => (item, "part", 0),
        };
        let fixed = match (arguments.fix, others) {
            (false, _) => Err(None),
            (true, 0) => fix(
                &mut client,
                mount.as_deref(),
                &file,
                &item,
                silent == "part",
            ),
            (true, others) => Err(Some(format!(
                "{} have the same silence, and its name tells not which it is of",
                counted(others + 1, "sound", "sounds")
            ))),
        };
        let found_one = Found {
            path: file.as_path().into(),
            media_id: item.media_id.to_string(),
            name: item.name,
            others,
            silent,
            fixed: fixed.is_ok(),
            reason: fixed.err().flatten(),
        };
        if !arguments.report.json {
            out.line(&line(&found_one))?;
        }
        found.push(found_one);
    }
    if arguments.report.json {
        out.json(&found)?;
    } else {
        let fixed = found.iter().filter(|found| found.fixed).count() as u64;
        let mut words = format!(
            "{} looked at, {} silent",
            counted(looked, "file", "files"),
            found.len()
        );
        if arguments.fix {
            words.push_str(&format!(", {fixed} put right"));
        } else if !found.is_empty() {
            words.push_str("; --fix puts the true bytes in");
        }
        out.line(&words)?;
    }
    out.flush()?;
    let left = found.iter().any(|found| arguments.fix && !found.fixed);
    Ok(if left || unreadable > 0 {
        Done::Badly
    } else {
        Done::Well
    })
}

fn line(found: &Found) -> String {
    let what = match (found.silent, found.fixed) {
        (_, true) => "was silent and has the true bytes now",
        ("whole", _) => "is silence",
        _ => "is silent in part",
    };
    let reason = found
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {}", plain(reason)));
    let others = match found.others {
        0 => String::new(),
        others => format!(" or one of {others} others"),
    };
    format!(
        "{} {what}, in the place of {} ({}){others}{reason}",
        plain(&found.path.to_string()),
        plain(&found.name),
        found.media_id
    )
}

/// Why a file can't be judged.
enum Trouble {
    File(io::Error),
    Asking(CliError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// What a file is that is silent.
enum Judgement {
    /// Wholly, in the place of this item; or of so many others, if its name does not tell.
    Whole(StandIn, u64),
    /// In part.
    Part(StandIn),
}

/// Whether a file is silence in the place of an item, wholly or in part.
fn judge(
    client: &mut Client,
    mount: Option<&Path>,
    path: &Path,
) -> Result<Option<Judgement>, Trouble> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    let name = path.file_name().unwrap_or_default();
    let params = StandInParams {
        size,
        blake3: ObjectHash(*hasher.finalize().as_bytes()),
        name: Some(display_name(name.as_encoded_bytes())),
    };
    let answer = client
        .call::<MediaStandIn>(&params)
        .map_err(|error| Trouble::Asking(error.into()))?;
    if let Some(whole) = whole(answer.silence_of, params.name.as_deref()) {
        return Ok(Some(whole));
    }
    for suspect in answer.suspects {
        if is_silent_in_part(client, mount, &mut file, size, &suspect)? {
            return Ok(Some(Judgement::Part(suspect)));
        }
    }
    Ok(None)
}

/// Of several sounds with the same silence, the one of the file's name is meant.
fn whole(mut items: Vec<StandIn>, name: Option<&str>) -> Option<Judgement> {
    let is_named = |item: &StandIn| {
        name.is_some_and(|name| shown_name(&item.name).eq_ignore_ascii_case(&shown_name(name)))
    };
    if items.len() > 1 && items.iter().filter(|item| is_named(item)).count() == 1 {
        items.retain(is_named);
    }
    let others = u64::try_from(items.len().saturating_sub(1)).unwrap_or(u64::MAX);
    let first = items.into_iter().next()?;
    Some(Judgement::Whole(first, others))
}

/// Every block of the file is the sound's or its silence's, and one is its silence's alone.
fn is_silent_in_part(
    client: &mut Client,
    mount: Option<&Path>,
    file: &mut File,
    size: u64,
    item: &StandIn,
) -> Result<bool, Trouble> {
    let Some(mut sound) = mount.and_then(|mount| sound(mount, item).ok()) else {
        return Ok(false);
    };
    file.seek(SeekFrom::Start(0))?;
    let mut silent = false;
    let mut at = 0;
    while at < size {
        let params = SilenceParams {
            item: Which::from(item.media_id.clone()),
            offset: at,
            length: SilenceParams::MOST,
        };
        let Ok(silence) = client.call::<MediaSilence>(&params) else {
            return Ok(false);
        };
        let silence = unhex(&silence.hex);
        if silence.is_empty() {
            return Ok(false);
        }
        let mut copy = vec![0; silence.len()];
        let mut truth = vec![0; silence.len()];
        file.read_exact(&mut copy)?;
        if sound.read_exact(&mut truth).is_err() {
            return Ok(false);
        }
        for ((copy, truth), silence) in copy
            .chunks(BLOCK)
            .zip(truth.chunks(BLOCK))
            .zip(silence.chunks(BLOCK))
        {
            if copy == truth {
                continue;
            }
            if !is_mixed(copy, truth, silence) {
                return Ok(false);
            }
            silent = true;
        }
        at += u64::try_from(silence.len()).unwrap_or(u64::MAX);
    }
    Ok(silent)
}

/// Every byte is the sound's or its silence's.
fn is_mixed(copy: &[u8], truth: &[u8], silence: &[u8]) -> bool {
    copy.iter()
        .zip(truth)
        .zip(silence)
        .all(|((copy, truth), silence)| copy == truth || copy == silence)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect()
}

/// The true bytes: by the copier's door they are never anything else.
fn sound(mount: &Path, item: &StandIn) -> io::Result<File> {
    File::open(mount.join(".as/copier").join(&item.path))
}

/// Puts the true bytes in the place of a copy; or says why not.
fn fix(
    client: &mut Client,
    mount: Option<&Path>,
    path: &Path,
    item: &StandIn,
    keep: bool,
) -> Result<(), Option<String>> {
    let mount = mount.ok_or_else(|| Some("the drive is not mounted".to_owned()))?;
    let said = |error: io::Error| Some(error.to_string());
    let mut from = sound(mount, item)
        .map_err(|error| Some(format!("its bytes cannot be had now: {error}")))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(said)?;
    let copied = io::copy(&mut from, temporary.as_file_mut())
        .map_err(|error| Some(format!("its bytes cannot be had now: {error}")))?;
    let old = fs::metadata(path).map_err(said)?;
    if copied != old.len() {
        return Err(Some("the sound has another length by now".to_owned()));
    }
    let file = temporary.as_file_mut();
    file.flush().map_err(said)?;
    file.seek(SeekFrom::Start(0)).map_err(said)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut *file).map_err(said)?;
    let hash = ObjectHash(*hasher.finalize().as_bytes());
    if item.blake3.is_some_and(|known| known != hash) {
        return Err(Some("what was read is not what is recorded".to_owned()));
    }
    // Silence again would be no cure.
    let params = StandInParams {
        size: copied,
        blake3: hash,
        name: None,
    };
    match client.call::<MediaStandIn>(&params) {
        Ok(answer) if answer.silence_of.is_empty() => {}
        Ok(_) => return Err(Some("its bytes cannot be had now".to_owned())),
        Err(error) => return Err(Some(error.to_string())),
    }
    file.set_permissions(old.permissions()).map_err(said)?;
    if let Ok(modified) = old.modified() {
        file.set_modified(modified).map_err(said)?;
    }
    file.sync_all().map_err(said)?;
    // What was silent in part may have been meant so.
    if keep {
        let mut kept = path.as_os_str().to_owned();
        kept.push(".before-heal");
        fs::hard_link(path, &kept)
            .or_else(|_| copy_new(path, Path::new(&kept)))
            .map_err(|error| Some(format!("it could not be kept beside: {error}")))?;
    }
    temporary
        .persist(path)
        .map(drop)
        .map_err(|error| said(error.error))
}

/// Copies a file to a name that nothing has yet.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = File::create_new(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}

/// All regular files, in the order of their names; links are not followed.
fn files_below(top: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |path: &Path, error: io::Error| {
        CliError::new(format!(
            "{} cannot be looked through: {error}",
            path_text(path)
        ))
    };
    let found = fs::symlink_metadata(top).map_err(|error| failed(top, error))?;
    if found.is_file() {
        return Ok(vec![top.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![(top.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(failed(&folder, error)),
            Err(error) => {
                eprintln!("mediafs: {}: {error}", plain(&path_text(&folder)));
                continue;
            }
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEEPEST => {
                    folders.push((entry.path(), depth + 1));
                }
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_sound_or_silence_or_something_else() {
        assert!(is_mixed(&[1, 0, 0], &[1, 2, 3], &[0, 0, 0]));
        assert!(!is_mixed(&[1, 9, 0], &[1, 2, 3], &[0, 0, 0]));
    }

    #[test]
    fn hex_comes_back() {
        assert_eq!(unhex("00ff7a"), [0, 0xff, 0x7a]);
        assert_eq!(unhex("0"), Vec::<u8>::new());
    }
}
