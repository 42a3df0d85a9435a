//! Projects: manifests, copies, moves, other machines, strangers, drafts, collecting.
#![allow(clippy::unwrap_used)]

mod collecting;
mod hostile;
mod model;
mod moving;
mod saving;
mod support;
