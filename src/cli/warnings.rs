//! `mediafs warnings`: what is not as it should be, and what to do.

use super::output::{Out, plain};
use super::{CliError, Context, Done, Report, counted};
use crate::control::Warning;
use crate::control::methods::{Nothing, SessionWarnings};

/// Show what is not as it should be, and what to do
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    report: Report,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    let warnings = context
        .client()?
        .call::<SessionWarnings>(&Nothing {})?
        .warnings;
    let mut out = Out::new();
    if arguments.report.json {
        out.json(&warnings)?;
    } else if warnings.is_empty() {
        out.line("all is well")?;
    } else {
        for warning in &warnings {
            out.line(&line(warning))?;
        }
    }
    out.flush()?;
    Ok(Done::Well)
}

fn line(warning: &Warning) -> String {
    let items = match warning.count {
        0 => String::new(),
        count => format!(" ({})", counted(count, "sound", "sounds")),
    };
    let remedy = match warning.at_shell() {
        Some(remedy) => format!("; {remedy}"),
        None => String::new(),
    };
    let text = format!("{}{items}{remedy}", warning.text);
    format!("{}: {}", warning.severity.word(), plain(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Severity;

    #[test]
    fn a_warning_is_one_line_with_its_remedy() {
        let warning = Warning::new("volume.red", Severity::Error, "RED is\nunplugged")
            .remedy("plug it in")
            .about(3, []);
        assert_eq!(
            line(&warning),
            "error: RED is\\u{a}unplugged (3 sounds); plug it in"
        );
    }
}
