//! `mediafs doctor`: is everything there that the drive needs, and what to do if not.

#[cfg(target_os = "linux")]
mod helper;
#[cfg(unix)]
mod mounts;
mod survives;
#[cfg_attr(not(target_os = "linux"), path = "doctor/elsewhere.rs")]
mod system;

use serde::Serialize;

use super::output::{Out, plain};
use super::supervise::Supervision;
use super::{CliError, Context, Done, Report};
use crate::config::Config;
use crate::control::methods::{
    Check, DriveCheck, DriveProblems, DriveStatus, Nothing, Problem, ProblemsParams, Status,
    VolumeList, Volumes,
};
use crate::control::{BlockingClient as Client, ClientError, WirePath};

/// Files that could not be taken in that are listed to a person.
const MOST_LISTED: usize = 20;

/// Look whether everything is there that the drive needs; says what to do if not
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// List every file that could not be taken in, not only the first ones
    #[arg(long)]
    all: bool,
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
    /// The file or folder that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<WirePath>,
    /// What is wrong with that.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            message: message.into(),
            remedy: None,
            path: None,
            reason: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Warn,
            message: message.into(),
            remedy: Some(remedy.into()),
            path: None,
            reason: None,
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Fail,
            message: message.into(),
            remedy: Some(remedy.into()),
            path: None,
            reason: None,
        }
    }

    fn about(self, problem: Problem) -> Self {
        Self {
            message: format!("{}: {}", problem.path, problem.reason),
            path: Some(problem.path),
            reason: Some(problem.reason),
            ..self
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let mut findings = system::findings();
    #[cfg(unix)]
    findings.extend(mounts::findings());
    let most = if arguments.all || arguments.report.json {
        usize::MAX
    } else {
        MOST_LISTED
    };
    findings.extend(home(context, most));
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
fn home(context: &Context, most: usize) -> Vec<Finding> {
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
    let asked = context.client().and_then(|mut client| {
        let status = client.call::<DriveStatus>(&Nothing {})?;
        let check = client.call::<DriveCheck>(&Nothing {})?;
        let volumes = client.call::<VolumeList>(&Nothing {})?;
        let problems = problems(&mut client, &status, most)?;
        Ok((status, check, volumes, problems))
    });
    match asked {
        Ok((status, check, volumes, problems)) => {
            findings.push(daemon(&status));
            findings.extend(status.mount.as_ref().map(survives::of_mount));
            let supervision = Supervision::of(&context.home, status.pid);
            findings.extend(survives::supervisor(supervision, status.running));
            findings.extend(twins(&volumes));
            findings.extend(holdings(&check));
            findings.extend(problems);
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

/// Volumes of which two with one identity are there: which of them a sound is on cannot be told.
fn twins(volumes: &Volumes) -> Vec<Finding> {
    let twins = volumes.volumes.iter().filter(|volume| volume.twin);
    twins
        .map(|volume| {
            Finding::warn(
                "volumes",
                format!(
                    "{} at {} has the same identity as another volume that is there: one is a copy of the other",
                    volume.name, volume.path
                ),
                "unplug one of them, or give it another identity",
            )
        })
        .collect()
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
    findings.extend(
        check.warnings.iter().map(|warning| {
            Finding::warn("drive", warning.clone(), "correct that, and mount again")
        }),
    );
    findings
}

/// What could not be taken in: all of it, or as much as a person reads.
fn problems(
    client: &mut Client,
    status: &Status,
    most: usize,
) -> Result<Vec<Finding>, ClientError> {
    let mut findings = Vec::new();
    let mut params = ProblemsParams::default();
    while findings.len() < most {
        let page = client.call::<DriveProblems>(&params)?;
        findings.extend(page.unreadable.into_iter().map(|problem| {
            let remedy = "it is shown in library/, but has no id";
            Finding::warn("files", "", remedy).about(problem)
        }));
        findings.extend(page.left_out.into_iter().map(|problem| {
            let remedy = "it is not shown on the drive";
            Finding::warn("left out", "", remedy).about(problem)
        }));
        match page.next {
            Some(next) => params.after = next,
            None => break,
        }
    }
    findings.truncate(most);
    let all = status.problems.saturating_add(status.left_out);
    let more = all.saturating_sub(findings.len() as u64);
    if findings.len() == most && more > 0 {
        let message = format!("{more} more like these");
        let remedy = "`mediafs doctor --all` lists every one, and so does --json";
        findings.push(Finding::warn("files", message, remedy));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::methods::VolumeStatus;

    #[test]
    fn copies_of_volumes_are_told_and_no_others() {
        let volume = |name: &str, twin| VolumeStatus {
            id: None,
            name: name.to_owned(),
            kind: "volume".to_owned(),
            provider: None,
            state: "online".to_owned(),
            path: std::path::Path::new("/media").join(name).as_path().into(),
            last_seen: None,
            read_only: false,
            twin,
            marked: false,
            known: true,
            items: 1,
            only_there: 1,
        };
        let volumes = Volumes {
            volumes: vec![volume("red", false), volume("blue", true)],
        };
        let found = twins(&volumes);
        assert_eq!(found.len(), 1);
        let blue = std::path::Path::new("/media").join("blue");
        let expected = format!("blue at {}", blue.display());
        assert!(found[0].message.starts_with(&expected), "{:?}", found[0]);
        assert_eq!(found[0].state, State::Warn);
    }
}
