//! Storage that hangs from the start: the drive is there all the same.
