//! The command line: one file per command.
//!
//! Commands talk to the daemon of their home. Where none runs, those that need only the catalog open the home
//! themselves under its lock, through the same [client](crate::control::BlockingClient). Exit codes: 0 done, 1 failed (one
//! line on stderr that says what and what to do), 2 usage, 130 ended by
//! Ctrl-C.

mod analysis;
mod autostart;
mod cache;
mod connect;
mod doctor;
mod eject;
mod ensure;
mod forget;
mod forget_library;
mod heal;
mod history;
mod hydrate;
mod import;
mod interrupt;
mod ls;
mod mount;
mod output;
mod pin;
mod project;
mod relink;
mod remove;
mod rename;
mod replace;
mod reserve;
mod resolve;
mod run;
mod scan;
mod schema;
mod show;
mod status;
mod supervise;
mod tag;
mod tasks;
mod translate;
mod unmount;
mod usages;
mod volumes;
mod warnings;
mod watch;
mod whereis;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use mediafs_platform::files::canonical;

use crate::control::methods::Which;
use crate::control::rpc::one_line;
use crate::control::{ClientError, WirePath};
use crate::home::{Home, HomeError};
use crate::model::path_from_text;

/// The media drive of Loophole: every sound under a path that never changes.
#[derive(Parser)]
#[command(name = "mediafs", version, max_term_width = 100)]
struct Arguments {
    /// Keep configuration, catalog, cache and socket under this folder [env: MEDIAFS_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Mount(mount::Arguments),
    Unmount(unmount::Arguments),
    Ensure(ensure::Arguments),
    Autostart(autostart::Arguments),
    Run(run::Arguments),
    Import(import::Arguments),
    Scan(scan::Arguments),
    Forget(forget::Arguments),
    ForgetLibrary(forget_library::Arguments),
    #[command(visible_alias = "search")]
    Ls(ls::Arguments),
    Show(show::Arguments),
    Status(status::Arguments),
    Warnings(warnings::Arguments),
    Watch(watch::Arguments),
    Tasks(tasks::Arguments),
    Cancel(tasks::CancelArguments),
    Tag(tag::TagArguments),
    Untag(tag::UntagArguments),
    Rename(rename::Arguments),
    Remove(remove::Arguments),
    Relink(relink::Arguments),
    Reserve(reserve::Arguments),
    Finalise(reserve::FinaliseArguments),
    Abandon(reserve::AbandonArguments),
    Takes(reserve::TakesArguments),
    Cleanup(reserve::CleanupArguments),
    Replace(replace::Arguments),
    Candidates(replace::CandidatesArguments),
    Usages(usages::Arguments),
    Analysis(analysis::Arguments),
    History(history::Arguments),
    Undo(history::UndoArguments),
    Redo(history::RedoArguments),
    Hydrate(hydrate::Arguments),
    Pin(pin::PinArguments),
    Unpin(pin::UnpinArguments),
    #[command(name = "whereis")]
    WhereIs(whereis::Arguments),
    Resolve(resolve::Arguments),
    Translate(translate::Arguments),
    Heal(heal::Arguments),
    Project(project::Arguments),
    Volumes(volumes::Arguments),
    Eject(eject::Arguments),
    Allow(run::AllowArguments),
    Cache(cache::Arguments),
    Doctor(doctor::Arguments),
    Schema(schema::Arguments),
    /// What the daemon runs for storage that may hang; not for people
    #[command(hide = true)]
    Courier,
}

/// For commands that report.
#[derive(Args, Clone, Copy)]
struct Report {
    /// Report as JSON, in the shapes of the control protocol
    #[arg(long)]
    json: bool,
}

/// Why a command failed.
#[derive(Debug)]
enum CliError {
    /// To be told in one line: what, and what to do.
    Failed(String),
    /// Nobody reads the output any more.
    NobodyReads,
}

impl CliError {
    fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::Failed(format!("the output cannot be written: {error}"))
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(error) => Self::new(error.at_shell()),
            other => Self::new(one_line(&other)),
        }
    }
}

macro_rules! from_errors {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> Self {
                Self::new(one_line(&error))
            }
        })+
    };
}

from_errors! {
    HomeError,
    crate::config::ConfigError,
    crate::daemon::DaemonError,
}

/// How a command ended that did not simply fail.
enum Done {
    /// All is well.
    Well,
    /// It has said itself what is not.
    Badly,
    /// The user ended it; it has said what was done until then.
    Interrupted,
}

/// What commands are given.
struct Context {
    home: Home,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { home, command } = Arguments::parse();
    if matches!(command, Command::Courier) {
        return match crate::library::run_courier() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => {
                eprintln!(
                    "mediafs: the daemon starts couriers itself; there is nothing to do by hand"
                );
                ExitCode::FAILURE
            }
        };
    }
    let outcome = Home::locate(home.as_deref())
        .map_err(CliError::from)
        .and_then(|home| run(command, &Context { home }));
    match outcome {
        Ok(Done::Well) | Err(CliError::NobodyReads) => ExitCode::SUCCESS,
        Ok(Done::Badly) => ExitCode::FAILURE,
        Ok(Done::Interrupted) => ExitCode::from(interrupt::EXIT),
        Err(CliError::Failed(message)) => {
            eprintln!("mediafs: {}", output::plain(&message));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, context: &Context) -> Result<Done, CliError> {
    match command {
        Command::Mount(arguments) => mount::run(&arguments, context),
        Command::Unmount(arguments) => unmount::run(&arguments, context),
        Command::Ensure(arguments) => ensure::run(&arguments, context),
        Command::Autostart(arguments) => autostart::run(&arguments, context),
        Command::Run(arguments) => run::run(&arguments, context),
        Command::Import(arguments) => import::run(&arguments, context),
        Command::Scan(arguments) => scan::run(&arguments, context),
        Command::Forget(arguments) => forget::run(&arguments, context),
        Command::ForgetLibrary(arguments) => forget_library::run(&arguments, context),
        Command::Ls(arguments) => ls::run(&arguments, context),
        Command::Show(arguments) => show::run(&arguments, context),
        Command::Status(arguments) => status::run(&arguments, context),
        Command::Warnings(arguments) => warnings::run(&arguments, context),
        Command::Watch(arguments) => watch::run(&arguments, context),
        Command::Tasks(arguments) => tasks::run(&arguments, context),
        Command::Cancel(arguments) => tasks::run_cancel(&arguments, context),
        Command::Tag(arguments) => tag::run(&arguments, context),
        Command::Untag(arguments) => tag::run_untag(&arguments, context),
        Command::Rename(arguments) => rename::run(&arguments, context),
        Command::Remove(arguments) => remove::run(&arguments, context),
        Command::Relink(arguments) => relink::run(&arguments, context),
        Command::Reserve(arguments) => reserve::run(&arguments, context),
        Command::Finalise(arguments) => reserve::run_finalise(&arguments, context),
        Command::Abandon(arguments) => reserve::run_abandon(&arguments, context),
        Command::Takes(arguments) => reserve::run_takes(&arguments, context),
        Command::Cleanup(arguments) => reserve::run_cleanup(&arguments, context),
        Command::Replace(arguments) => replace::run(&arguments, context),
        Command::Candidates(arguments) => replace::run_candidates(&arguments, context),
        Command::Usages(arguments) => usages::run(&arguments, context),
        Command::Analysis(arguments) => analysis::run(&arguments, context),
        Command::History(arguments) => history::run(&arguments, context),
        Command::Undo(arguments) => history::run_undo(&arguments, context),
        Command::Redo(arguments) => history::run_redo(&arguments, context),
        Command::Hydrate(arguments) => hydrate::run(&arguments, context),
        Command::Pin(arguments) => pin::run(&arguments, context),
        Command::Unpin(arguments) => pin::run_unpin(&arguments, context),
        Command::WhereIs(arguments) => whereis::run(&arguments, context),
        Command::Resolve(arguments) => resolve::run(&arguments, context),
        Command::Translate(arguments) => translate::run(&arguments, context),
        Command::Heal(arguments) => heal::run(&arguments, context),
        Command::Project(arguments) => project::run(&arguments, context),
        Command::Volumes(arguments) => volumes::run(&arguments, context),
        Command::Eject(arguments) => eject::run(&arguments, context),
        Command::Allow(arguments) => run::run_allow(&arguments, context),
        Command::Cache(arguments) => cache::run(&arguments, context),
        Command::Doctor(arguments) => doctor::run(&arguments, context),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Courier => Ok(Done::Well),
    }
}

/// Whether a text is a path of several parts, not a name.
fn looks_like_path(text: &std::ffi::OsStr) -> bool {
    let is_separator = |byte: &u8| std::path::is_separator(char::from(*byte));
    text.as_encoded_bytes().iter().any(is_separator)
}

/// The item that a person names: by its id, or by a path on the drive or on disk.
fn which(text: &std::ffi::OsStr) -> Result<Which, CliError> {
    let media_id = text.to_str().and_then(|text| text.parse().ok());
    let looks_like_path = looks_like_path(text);
    // A file in this folder may have a name that is also an id; the id is looked for first.
    let path = if media_id.is_none() || looks_like_path || std::path::Path::new(text).exists() {
        let path = absolute(std::path::Path::new(text))?;
        // Libraries and the mount are known by their paths without links; the file itself may be gone, or a link.
        let real = path.0.parent().and_then(|parent| canonical(parent).ok());
        match real.zip(path.0.file_name()) {
            Some((parent, name)) => Some(WirePath(parent.join(name))),
            None => Some(path),
        }
    } else {
        None
    };
    Ok(Which {
        media_id,
        path,
        ..Which::default()
    })
}

/// Paths go to the daemon, whose current folder is another. A `file://` URI is taken too, for that is how commands write
/// a path that is not UTF-8.
fn absolute(path: &std::path::Path) -> Result<WirePath, CliError> {
    if path.as_os_str().is_empty() {
        return Err(CliError::new(
            "an empty text names nothing; give a path or an id",
        ));
    }
    if let Some(text) = path.to_str().filter(|text| text.starts_with("file://")) {
        return path_from_text(text)
            .map(WirePath)
            .map_err(|error| CliError::new(format!("{text} is no path: {error}")));
    }
    std::path::absolute(path).map(WirePath).map_err(|error| {
        CliError::new(format!(
            "{} cannot be found: {error}; give an absolute path",
            path.display()
        ))
    })
}

/// `1 sound`, `2 sounds`.
fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}
