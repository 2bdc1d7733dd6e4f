//! The store in a directory, by itself.
