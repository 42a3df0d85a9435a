//! `mediafs analysis`: what programs have found out about sounds.

use std::ffi::OsString;
use std::path::PathBuf;

use super::output::{Out, plain, size};
use super::{CliError, Context, Done, Report};
use crate::control::methods::{
    AnalysisGet, AnalysisGetParams, AnalysisPut, AnalysisPutParams, AnalysisType, AnalysisWanted,
    AnalysisWantedParams,
};
use crate::model::ObjectHash;

/// See and keep what programs have found out about sounds
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// List sounds of which an analysis is not made yet
    Wanted {
        #[command(flatten)]
        analysis: Analysis,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        report: Report,
    },
    /// Keep what an analysis made of a sound
    Put {
        /// Its id, or its path on the drive or on disk
        #[arg(value_name = "ID")]
        item: OsString,
        #[command(flatten)]
        analysis: Analysis,
        /// BLAKE3 of the bytes that were read for it
        #[arg(long, value_name = "HASH")]
        blake3: String,
        /// The process that read them
        #[arg(long, value_name = "PID")]
        process: u32,
        /// The file with what it made
        artefact: PathBuf,
        #[command(flatten)]
        report: Report,
    },
    /// Tell what an analysis made of a sound
    Get {
        /// Its id, or its path on the drive or on disk
        #[arg(value_name = "ID")]
        item: OsString,
        #[command(flatten)]
        analysis: Analysis,
        #[command(flatten)]
        report: Report,
    },
}

#[derive(clap::Args)]
struct Analysis {
    /// What: waveform, tempo, …
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// Which program in which version
    #[arg(long, value_name = "NAME")]
    producer: String,
    /// How, in the producer's spelling
    #[arg(long, value_name = "TEXT", default_value = "")]
    parameters: String,
}

impl Analysis {
    fn params(&self) -> AnalysisType {
        AnalysisType {
            kind: self.kind.clone(),
            parameters: self.parameters.clone(),
            producer: self.producer.clone(),
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Done, CliError> {
    match &arguments.what {
        What::Wanted {
            analysis,
            limit,
            report,
        } => wanted(analysis, *limit, *report, context),
        What::Put {
            item,
            analysis,
            blake3,
            process,
            artefact,
            report,
        } => {
            let params = AnalysisPutParams {
                item: super::which(item)?,
                analysis: analysis.params(),
                blake3: ObjectHash::try_from(blake3.clone()).map_err(CliError::new)?,
                process: *process,
                artefact: None,
                artefact_path: Some(super::absolute(artefact)?),
            };
            let stored = context.client()?.call::<AnalysisPut>(&params)?;
            let mut out = Out::new();
            if report.json {
                out.json(&stored)?;
            } else {
                out.line(&format!("{} are kept", size(stored.size)))?;
            }
            out.flush()?;
            Ok(Done::Well)
        }
        What::Get {
            item,
            analysis,
            report,
        } => {
            let params = AnalysisGetParams {
                item: super::which(item)?,
                analysis: analysis.params(),
            };
            let got = context.client()?.call::<AnalysisGet>(&params)?;
            let mut out = Out::new();
            if report.json {
                out.json(&got)?;
            } else {
                out.line(&plain(&got.artefact_path.to_string()))?;
            }
            out.flush()?;
            Ok(Done::Well)
        }
    }
}

fn wanted(
    analysis: &Analysis,
    limit: u32,
    report: Report,
    context: &Context,
) -> Result<Done, CliError> {
    let mut client = context.client()?;
    let mut params = AnalysisWantedParams {
        types: vec![analysis.params()],
        after: None,
        limit: None,
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    while items.len() < most {
        let left = u32::try_from(most - items.len()).unwrap_or(u32::MAX);
        params.limit = Some(left.max(1));
        let page = client.call::<AnalysisWanted>(&params)?;
        items.extend(page.items);
        match page.next {
            Some(next) => params.after = Some(next),
            None => break,
        }
    }
    let mut out = Out::new();
    if report.json {
        out.json(&items)?;
    } else if items.is_empty() {
        out.line("nothing is wanted of what is known by its hash")?;
    } else {
        let rows: Vec<Vec<String>> = items
            .iter()
            .map(|item| vec![item.media_id.to_string(), plain(&item.name)])
            .collect();
        out.table(&rows)?;
    }
    out.flush()?;
    Ok(Done::Well)
}
