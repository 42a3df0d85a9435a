//! The content-addressed store of mediafs.
