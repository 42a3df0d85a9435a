//! mediafs: the media drive of Loophole.
//!
//! One daemon mounts one drive. Every media item that a project or the user's library knows is a plain file there,
//! under a path that never changes, whatever happens to the storage behind it.

pub mod catalog;
pub mod cli;
pub mod config;
mod container;
pub mod control;
pub mod daemon;
pub mod home;
pub mod hydrate;
pub mod library;
pub mod model;
pub mod project;
pub mod silence;
mod storage;
pub mod tree;
