//! Placeholder map, written with the package.
