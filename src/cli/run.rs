//! `mediafs run --as CLASS CMD…`: run a program as a player, a copier, …

use std::ffi::OsString;

use super::{CliError, Context, Done};
use crate::control::methods::{AllowParams, RegisterParams, RequestersAllow, RequestersRegister};
use crate::tree::class::Class;
use mediafs_platform::process::{Process, ProcessId};
use mediafs_platform::this_process;

/// Run a program that gets the deal of a class, with all that it starts
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// What it is to the drive
    #[arg(long = "as", value_name = "CLASS")]
    class: Class,
    /// A player that is never given silence, but an error (for bounces and exports)
    #[arg(long)]
    strict: bool,
    /// The program and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let [program, rest @ ..] = arguments.command.as_slice() else {
        return Err(CliError::new("no program was named"));
    };
    let pid = std::process::id();
    let us = Process::of(ProcessId(pid))
        .ok_or_else(|| CliError::new("this process cannot see itself; is /proc mounted?"))?;
    context
        .daemon_needed()?
        .call::<RequestersRegister>(&RegisterParams {
            pid,
            start_time: us.started.0,
            class: arguments.class,
            strict: arguments.strict,
        })?;
    // On success this does not return: the program takes the place of this process, and its registration.
    let mut command = std::process::Command::new(program);
    command.args(rest);
    let error = this_process::give_way_to(command);
    eprintln!(
        "mediafs: {} cannot be run: {error}",
        super::output::plain(&program.to_string_lossy())
    );
    // As shells have it.
    std::process::exit(if error.kind() == std::io::ErrorKind::NotFound {
        127
    } else {
        126
    });
}

/// Let a process fetch as many sounds as it likes, after it was stopped for fetching so many
#[derive(clap::Args)]
pub(super) struct AllowArguments {
    /// The number of the process
    #[arg(value_name = "PID")]
    pid: u32,
}

pub(super) fn run_allow(arguments: &AllowArguments, context: &Context) -> Result<Done, CliError> {
    let params = AllowParams { pid: arguments.pid };
    context.daemon_needed()?.call::<RequestersAllow>(&params)?;
    Ok(Done::Well)
}
