//! Storage that is not trusted, through the real binary: volumes that come, go, return elsewhere, are copies of each
//! other, hang and are let go of; what is brought from them, pinned and kept; folders of clouds.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod bringing;
mod clones;
mod clouds;
mod coming;
mod dead;
mod ejecting;
mod marks;
mod odd;
mod projects;
mod relinking;
mod scanning;
mod takes;
