//! `mediafs mount`: start the drive.
//!
//! In the foreground the process becomes the daemon. With `--background` it starts itself once more, detached from
//! the terminal, as a supervisor, which starts the daemon and starts it again should it die. Whoever called waits for
//! the first daemon's word on a pipe: lines `warning TEXT`, then `ready PATH` or `failed OBSTACLE REASON`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mediafs_platform::mount::{Mounted, Transport};
use mediafs_platform::this_process;

use super::output::{Out, plain};
use super::supervise::{DETACHED, SUPERVISED, forget, supervise};
use super::{CliError, Context, Done};
use crate::config::Config;
use crate::control::rpc::one_line;
use crate::daemon::{self, DaemonOptions, Log, Obstacle};
use crate::home::default_mount_point;
use crate::model::path_text;

/// How long the daemon may take to be ready. It takes less than a second where nothing is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the daemon begins a line that is not its last word.
const WARNING: &str = "warning ";

/// Start the drive: every sound under a path that never changes
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where it is to appear: an empty folder, or one to be made [default: /media/loophole if there is one, else
    /// ~/Loophole]
    mountpoint: Option<PathBuf>,
    /// A folder of sounds to show, and to watch from now on (may be given several times)
    #[arg(long = "library", value_name = "DIR")]
    libraries: Vec<PathBuf>,
    /// The folder of a project to open (may be given several times)
    #[arg(long = "project", value_name = "DIR")]
    projects: Vec<PathBuf>,
    /// Return when the drive is ready, and let it run
    #[arg(long)]
    background: bool,
    /// Do not let the kernel read files by itself
    #[arg(long)]
    no_passthrough: bool,
    /// How the drive gets to the system [default: fuse, but nfs on a Mac without macFUSE]
    #[arg(long, value_enum)]
    transport: Option<By>,
    /// Write the log to the terminal
    #[arg(short, long, conflicts_with = "background")]
    verbose: bool,
    /// The supervisor of `--background`
    #[arg(long, hide = true, conflicts_with = "background")]
    detached: bool,
    /// The daemon of `--background`
    #[arg(long, hide = true, conflicts_with_all = ["background", "detached"])]
    supervised: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    if arguments.detached || arguments.supervised {
        // The kernel has named it after `/proc/self/exe`.
        this_process::set_name(c"mediafs");
    }
    if arguments.detached {
        return detached(arguments, context);
    }
    if arguments.supervised {
        return Ok(supervised(arguments, context));
    }
    if arguments.background {
        return background(arguments, context);
    }
    let options = arguments.start().options(context)?;
    if arguments.verbose {
        Log::install_on_stderr(&options.config.log_level);
    } else {
        open_log(context)?.install(&options.config.log_level);
    }
    daemon::run(&options, |mounted, warnings| {
        forget(&context.home);
        for warning in warnings {
            warn(warning);
        }
        say(&format!("ready {}", place(&options, mounted)))
    })?;
    Ok(Done::Well)
}

/// How the drive gets to the system
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum By {
    /// FUSE
    Fuse,
    /// NFS on this machine alone: every program gets what one that copies gets
    Nfs,
}

impl By {
    fn transport(self) -> Transport {
        match self {
            Self::Fuse => Transport::Fuse,
            Self::Nfs => Transport::Nfs,
        }
    }

    /// As it is given on the command line.
    pub(super) fn word(self) -> &'static str {
        self.transport().word()
    }
}

/// What a daemon is to be started with.
pub(super) struct Start {
    /// `None`: the usual place.
    pub(super) mountpoint: Option<PathBuf>,
    pub(super) libraries: Vec<PathBuf>,
    pub(super) projects: Vec<PathBuf>,
    pub(super) passthrough: bool,
    pub(super) transport: Transport,
}

impl Arguments {
    fn start(&self) -> Start {
        Start {
            mountpoint: self.mountpoint.clone(),
            libraries: self.libraries.clone(),
            projects: self.projects.clone(),
            passthrough: !self.no_passthrough,
            transport: self
                .transport
                .map_or_else(Transport::of_this_system, By::transport),
        }
    }
}

impl Start {
    fn options(&self, context: &Context) -> Result<DaemonOptions, CliError> {
        let config = Config::load(context.home.config_file())?;
        context.home.prepare(&config.trusted)?;
        let absolute = |path: &PathBuf| super::absolute(path).map(|path| path.0);
        let all = |paths: &[PathBuf]| paths.iter().map(absolute).collect::<Result<Vec<_>, _>>();
        Ok(DaemonOptions {
            home: context.home.clone(),
            config,
            mountpoint: match &self.mountpoint {
                Some(path) => absolute(path)?,
                None => default_mount_point(),
            },
            libraries: all(&self.libraries)?,
            projects: all(&self.projects)?,
            passthrough: self.passthrough,
            transport: self.transport,
        })
    }

    /// Starts a supervisor, and waits until its daemon is ready; gives where the drive is, in words.
    pub(super) fn in_background(&self, context: &Context) -> Result<String, NotStarted> {
        let options = self.options(context)?;
        let log = open_log(context)?;
        let failed = |error: &(dyn std::error::Error + 'static)| {
            CliError::new(format!("the daemon cannot be started: {}", one_line(error)))
        };
        let mut child = again(context, &options, DETACHED)
            .map_err(|error| failed(&error))?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.for_child().map_err(|error| failed(&error))?)
            .spawn()
            .map_err(|error| failed(&error))?;
        let word = word_of(&mut child);
        match word
            .as_deref()
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
        {
            Some(("ready", place)) => Ok(place.to_owned()),
            Some(("failed", said)) => {
                // It is about to end.
                let _ = child.wait();
                let (word, reason) = said.split_once(' ').unwrap_or((said, ""));
                Err(match Obstacle::from_word(word) {
                    Some(obstacle) => NotStarted {
                        obstacle,
                        message: reason.to_owned(),
                    },
                    None => CliError::new(said).into(),
                })
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                Err(CliError::new(format!(
                    "the daemon did not get ready; its log {} says why",
                    log.path().display()
                ))
                .into())
            }
        }
    }
}

/// Where the drive is: where it was to appear, as that was asked for.
fn place(options: &DaemonOptions, mounted: &Mounted) -> String {
    match mounted.url() {
        Some(url) => url.to_owned(),
        None => path_text(&options.mountpoint),
    }
}

/// Why no daemon runs now.
pub(super) struct NotStarted {
    pub(super) obstacle: Obstacle,
    /// What, and what to do.
    pub(super) message: String,
}

impl From<CliError> for NotStarted {
    fn from(error: CliError) -> Self {
        Self {
            obstacle: Obstacle::Other,
            message: match error {
                CliError::Failed(message) => message,
                CliError::NobodyReads => "nobody reads what it says".to_owned(),
            },
        }
    }
}

impl From<daemon::DaemonError> for NotStarted {
    fn from(error: daemon::DaemonError) -> Self {
        Self {
            obstacle: Obstacle::from(&error),
            message: one_line(&error),
        }
    }
}

fn open_log(context: &Context) -> Result<Log, CliError> {
    let folder = context.home.log();
    Log::open(&folder).map_err(|error| {
        CliError::new(format!(
            "the log in {} cannot be written{}: {error}",
            folder.display(),
            crate::home::remedy(&error)
        ))
    })
}

/// Something is not as it was asked for, but the drive is there.
fn warn(text: &str) {
    eprintln!("mediafs: {}", plain(text));
}

/// One line on stdout that whoever waits for it sees at once.
fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// The process that starts the daemon, as often as it dies.
fn detached(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    this_process::leave_terminal();
    let options = arguments.start().options(context)?;
    let log = open_log(context)?;
    log.install(&options.config.log_level);
    // The first one has registered the folders; since then the user may have taken some off.
    let later = DaemonOptions {
        libraries: Vec::new(),
        projects: Vec::new(),
        ..options.clone()
    };
    supervise(&context.home, |first| {
        let options = if first { &options } else { &later };
        let mut command = again(context, options, SUPERVISED)?;
        // The log's own file: what a daemon says as it dies is read there.
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        Ok(command)
    })
    .map_err(|error| CliError::new(format!("the daemon cannot be started: {error}")))
}

/// The daemon that is started by the supervisor.
fn supervised(arguments: &Arguments, context: &Context) -> Done {
    let start = || -> Result<(), NotStarted> {
        let options = arguments.start().options(context)?;
        open_log(context)?.install(&options.config.log_level);
        daemon::run(&options, |mounted, warnings| {
            for warning in warnings {
                say(&format!("{WARNING}{}", plain(warning)))?;
            }
            say(&format!("ready {}", place(&options, mounted)))?;
            // Whoever waited has its line; nobody else's pipe is kept open.
            this_process::silence_output()
        })?;
        Ok(())
    };
    match start() {
        Ok(()) => Done::Well,
        Err(NotStarted { obstacle, message }) => {
            tracing::error!(message, "the daemon ends");
            // To the half that waits, or to nobody if it was ready before.
            let _ = say(&format!("failed {} {}", obstacle.word(), plain(&message)));
            Done::Badly
        }
    }
}

/// This command once more, as another of its parts.
fn again(context: &Context, options: &DaemonOptions, part: &str) -> std::io::Result<Command> {
    let mut command = this_process::begin(&this_process::program()?, "mediafs");
    if let Some(home) = context.home.given() {
        command.arg("--home").arg(home);
    }
    command.args(["mount", part]);
    for library in &options.libraries {
        command.arg("--library").arg(library);
    }
    for project in &options.projects {
        command.arg("--project").arg(project);
    }
    if !options.passthrough {
        command.arg("--no-passthrough");
    }
    command.args(["--transport", options.transport.word()]);
    command.arg("--").arg(&options.mountpoint);
    Ok(command)
}

/// The half that waits.
fn background(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    // At login it would stand there until the drive is there.
    this_process::leave_own_console();
    match arguments.start().in_background(context) {
        Ok(place) => {
            let mut out = Out::new();
            out.line(&format!("ready {place}"))?;
            out.flush()?;
            Ok(Done::Well)
        }
        Err(failure) => Err(CliError::new(failure.message)),
    }
}

/// Passes on what the daemon warns of; its next line, or `None` if it ends, or says nothing for too long.
fn word_of(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("first-line".to_owned())
        .spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let is_last = !line.starts_with(WARNING);
                // Nobody waits any more if it came too late.
                if sender.send(line).is_err() || is_last {
                    return;
                }
            }
        })
        .ok()?;
    loop {
        let line = receiver.recv_timeout(PATIENCE).ok()?;
        match line.strip_prefix(WARNING) {
            Some(warning) => warn(warning),
            None => return Some(line),
        }
    }
}
