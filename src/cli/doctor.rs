//! `mediafs doctor`: is everything there that the drive needs, and what to do if not.

mod system;

use serde::Serialize;

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::config::Config;
use crate::control::methods::{Check, DriveCheck, DriveStatus, Nothing, Status};

/// Unreadable files that are listed to a person.
const MOST_LISTED: usize = 20;

/// Look whether everything is there that the drive needs; says what to do if not
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    report: Report,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check found.
#[derive(PartialEq, Eq, Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            message: message.into(),
            remedy: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warn,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Fail,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut findings = system::findings();
    findings.extend(home(context));
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&findings)?;
    } else {
        for finding in &findings {
            let word = match finding.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            let message = plain(&finding.message);
            let text = match &finding.remedy {
                Some(remedy) => format!("{message}; {}", plain(remedy)),
                None => message,
            };
            out.row(&[4, 12], &[word, finding.check, &text])?;
        }
    }
    out.flush()?;
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    Ok(if failed { Done::Badly } else { Done::Well })
}

/// The home, and through its service what it holds.
fn home(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    let folder = context.home.data().display();
    let config = match Config::load(context.home.config_file()) {
        Ok(config) => config,
        Err(error) => {
            let reason = crate::control::rpc::one_line(&error);
            return vec![Finding::fail(
                "config",
                reason,
                "correct it, or remove it to use the defaults",
            )];
        }
    };
    match context.home.prepare(&config.trusted) {
        Ok(()) => findings.push(Finding::ok(
            "home",
            format!("{folder} is on trusted storage"),
        )),
        Err(error) => {
            findings.push(Finding::fail(
                "home",
                crate::control::rpc::one_line(&error),
                "see the message",
            ));
            return findings;
        }
    }
    let asked = context.client_now().and_then(|mut client| {
        let status = client.call::<DriveStatus>(&Nothing {})?;
        let check = client.call::<DriveCheck>(&Nothing {})?;
        Ok((status, check))
    });
    match asked {
        Ok((status, check)) => {
            findings.push(daemon(&status));
            findings.extend(holdings(&check));
        }
        Err(CliError::Failed(reason)) => {
            findings.push(Finding::fail("catalog", reason, "see the message"));
        }
        Err(CliError::NobodyReads) => {}
    }
    findings
}

fn daemon(status: &Status) -> Finding {
    match &status.mount {
        Some(mount) if mount.passthrough => Finding::ok(
            "drive",
            format!("mounted at {}, passthrough in force", mount.point),
        ),
        Some(mount) => Finding::ok(
            "drive",
            format!(
                "mounted at {}, passthrough {}",
                mount.point, mount.passthrough_note
            ),
        ),
        None => Finding::warn("drive", "not mounted", "start it with `mediafs mount`"),
    }
}

fn holdings(check: &Check) -> Vec<Finding> {
    let mut findings = Vec::new();
    if check.catalog.is_empty() {
        findings.push(Finding::ok("catalog", "sound"));
    }
    findings.extend(check.catalog.iter().map(|line| {
        Finding::fail(
            "catalog",
            line.clone(),
            "end the drive, put a copy of it away, and report this",
        )
    }));
    findings.extend(check.unwatched.iter().map(|library| {
        Finding::warn(
            "watch",
            format!("{}: {}", library.path, library.reason),
            "changes there are seen later; `mediafs scan` sees them at once",
        )
    }));
    findings.extend(check.problems.iter().take(MOST_LISTED).map(|problem| {
        Finding::warn(
            "files",
            format!("{}: {}", problem.path, problem.reason),
            "it is shown in library/, but has no id",
        )
    }));
    if let Some(more) = check
        .problems
        .len()
        .checked_sub(MOST_LISTED)
        .filter(|more| *more > 0)
    {
        findings.push(Finding::warn(
            "files",
            format!(
                "{} more",
                counted(more as u64, "unreadable file", "unreadable files")
            ),
            "`mediafs doctor --json` lists up to a thousand",
        ));
    }
    findings
}
