//! The drive's tree: views, nodes, and who gets what.

pub mod class;
