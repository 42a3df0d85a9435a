//! `mediafs autostart`: the drive from login on.
//!
//! What is written down is this program, told to mount in the background, with what it was told of the home. A home of
//! its own (`--home`) has an entry of its own, so that each home is switched on and off for itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mediafs_platform::autostart::{Autostart, AutostartError, Found, Start};
use serde::Serialize;

use super::mount::By;
use super::output::{Out, plain};
use super::{CliError, Context, Done, Report};
use crate::config::Config;
use crate::control::WirePath;
use crate::control::rpc::one_line;

/// How entries are called, and explained to whoever finds them.
const NAME: &str = "mediafs";
const DESCRIPTION: &str = "The media drive of Loophole";
/// Where the home is if none is named; a session may have other values than what starts programs at login.
const PLACES: [&str; 3] = ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"];

/// Start the drive when you log in, or no more
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// From the next login on, the drive is there (`mount` starts it now)
    Enable(Enable),
    /// From the next login on, it is not (`unmount` takes it away now)
    Disable {
        #[command(flatten)]
        report: Report,
    },
    /// Is it started at login, and which
    Status {
        #[command(flatten)]
        report: Report,
    },
}

#[derive(clap::Args)]
struct Enable {
    /// Where it is to appear [default: as for `mount`]
    mountpoint: Option<PathBuf>,
    /// Do not let the kernel read files by itself
    #[arg(long)]
    no_passthrough: bool,
    /// How the drive gets to the system [default: as for `mount`]
    #[arg(long, value_enum)]
    transport: Option<By>,
    #[command(flatten)]
    report: Report,
}

impl From<AutostartError> for CliError {
    fn from(error: AutostartError) -> Self {
        Self::new(one_line(&error))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    /// This program is started.
    Enabled,
    /// Nothing is.
    Disabled,
    /// Another one is, or one from elsewhere.
    OtherProgram,
    /// What is written down does not start the drive of this home.
    Stale,
}

/// What is written down.
#[derive(PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    state: State,
    /// Where.
    entry: String,
    /// What is started.
    program: Option<WirePath>,
    arguments: Vec<String>,
    /// Something was written or taken away just now.
    changed: bool,
    /// What is wrong, and what to do.
    message: Option<String>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let autostart = Autostart::of_this_user(&name(context), DESCRIPTION)?;
    let (status, report) = match &arguments.what {
        What::Enable(arguments) => {
            let start = start(arguments, context)?;
            let enabled = autostart.enable(&start)?;
            let status = Status {
                changed: enabled.changed,
                message: enabled.warning,
                ..look(&autostart, context)?
            };
            (status, arguments.report)
        }
        What::Disable { report } => {
            let changed = autostart.disable()?;
            let status = Status {
                changed,
                ..look(&autostart, context)?
            };
            (status, *report)
        }
        What::Status { report } => (look(&autostart, context)?, *report),
    };
    let mut out = Out::new();
    if report.json {
        out.json(&status)?;
    } else {
        out.line(&line(&status))?;
    }
    out.flush()?;
    Ok(Done::Well)
}

fn line(status: &Status) -> String {
    let entry = plain(&status.entry);
    let message = status.message.as_deref().map(plain);
    let said = match status.state {
        State::Enabled => format!("enabled: {entry}"),
        State::Disabled => match status.changed {
            true => format!("disabled: took away {entry}"),
            false => "disabled".to_owned(),
        },
        State::OtherProgram => format!("other program: {entry}"),
        State::Stale => format!("stale: {entry}"),
    };
    match message {
        Some(message) => format!("{said}; {message}"),
        None => said,
    }
}

/// The name of the home's entry.
fn name(context: &Context) -> String {
    match context.home.given() {
        None => NAME.to_owned(),
        Some(home) => {
            let home = crate::home::real(home);
            let hash = blake3::hash(home.as_os_str().as_encoded_bytes()).to_hex();
            format!("{NAME}-{}", &hash[..12])
        }
    }
}

/// This program, to mount in the background.
fn start(arguments: &Enable, context: &Context) -> Result<Start, CliError> {
    // Told now rather than at a login.
    let config = Config::load(context.home.config_file())?;
    context.home.prepare(&config.trusted)?;
    let mut words = home_words(context);
    words.extend(["mount", "--background"].map(OsString::from));
    if arguments.no_passthrough {
        words.push("--no-passthrough".into());
    }
    if let Some(by) = arguments.transport {
        words.extend(["--transport", by.word()].map(OsString::from));
    }
    if let Some(mountpoint) = &arguments.mountpoint {
        words.push("--".into());
        words.push(super::absolute(mountpoint)?.0.into());
    }
    Ok(Start {
        program: this_program()?,
        arguments: words,
        environment: environment(context),
    })
}

fn home_words(context: &Context) -> Vec<OsString> {
    match context.home.given() {
        Some(home) => vec!["--home".into(), home.into()],
        None => Vec::new(),
    }
}

/// What says where the home is.
fn environment(context: &Context) -> Vec<(String, OsString)> {
    if context.home.given().is_some() || cfg!(windows) {
        return Vec::new();
    }
    let values = PLACES.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Path::new(&value)
            .is_absolute()
            .then(|| ((*name).to_owned(), value))
    });
    values.collect()
}

fn this_program() -> Result<PathBuf, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::new(format!("where this program is cannot be told: {error}")))?;
    if program.exists() {
        return Ok(program);
    }
    Err(CliError::new(format!(
        "this program is not at {} any more; call the one that is installed now",
        program.display()
    )))
}

fn look(autostart: &Autostart, context: &Context) -> Result<Status, CliError> {
    let program = this_program()?;
    let expected = Expected {
        program: &program,
        home: &home_words(context),
        environment: &environment(context),
    };
    Ok(judge(autostart.look()?, autostart.place(), &expected))
}

/// What would be written for this home by this program.
struct Expected<'a> {
    program: &'a Path,
    home: &'a [OsString],
    environment: &'a [(String, OsString)],
}

fn judge(found: Found, entry: String, expected: &Expected<'_>) -> Status {
    const AGAIN: &str = "`mediafs autostart enable` writes it anew";
    let said = |state, message: Option<String>| Status {
        state,
        entry: entry.clone(),
        program: None,
        arguments: Vec::new(),
        changed: false,
        message,
    };
    let (start, off) = match found {
        Found::Nothing => return said(State::Disabled, None),
        Found::Changed => {
            let why = "it was written by another version, or changed by hand";
            return said(State::Stale, Some(format!("{why}; {AGAIN}")));
        }
        Found::Foreign(what) => return said(State::OtherProgram, Some(what)),
        Found::Written { start, off } => (start, off),
    };
    let (state, message) = if let Some(why) = off {
        (State::Disabled, Some(why.to_owned()))
    } else if !start.program.exists() {
        let gone = format!("{} is not there any more", start.program.display());
        (State::Stale, Some(format!("{gone}; {AGAIN}")))
    } else if start.program != expected.program {
        let other = format!("it starts {}", start.program.display());
        (State::OtherProgram, Some(format!("{other}; {AGAIN}")))
    } else if !start.arguments.starts_with(expected.home)
        || start.environment != expected.environment
    {
        let other = "it starts the drive of another home than that of this session";
        (State::Stale, Some(format!("{other}; {AGAIN}")))
    } else {
        (State::Enabled, None)
    };
    let words = start.arguments.iter();
    Status {
        program: Some(WirePath(start.program)),
        arguments: words.map(|word| word.to_string_lossy().into()).collect(),
        ..said(state, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(change: impl FnOnce(&mut Start), off: Option<&'static str>) -> Status {
        let program = Path::new("/bin/sh");
        let mut start = Start {
            program: program.into(),
            arguments: ["--home", "/h", "mount"].map(OsString::from).into(),
            environment: Vec::new(),
        };
        change(&mut start);
        let expected = Expected {
            program,
            home: &["--home", "/h"].map(OsString::from),
            environment: &[],
        };
        judge(Found::Written { start, off }, "there".to_owned(), &expected)
    }

    #[test]
    fn what_is_found_is_judged() {
        let enabled = state(|_| {}, None);
        assert_eq!(enabled.state, State::Enabled);
        assert_eq!(enabled.arguments, ["--home", "/h", "mount"]);
        assert_eq!(line(&enabled), "enabled: there");
        let off = state(|_| {}, Some("it was switched off"));
        assert_eq!(line(&off), "disabled; it was switched off");
        let other = state(|start| start.program = "/bin/true".into(), None);
        assert_eq!(other.state, State::OtherProgram);
        let gone = state(|start| start.program = "/bin/no\nne".into(), None);
        assert_eq!(gone.state, State::Stale);
        assert!(line(&gone).contains(r"/bin/no\u{a}ne is not there any more"));
        let home = state(|start| start.arguments[1] = "/other".into(), None);
        assert_eq!(home.state, State::Stale);
        let variable = ("XDG_DATA_HOME".to_owned(), "/x".into());
        let moved = state(|start| start.environment.push(variable), None);
        assert_eq!(moved.state, State::Stale);
    }
}
