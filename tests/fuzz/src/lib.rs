//! What comes from outside, damaged: what is done with it, and what has to hold. Nothing that a wire can bring may make a session
//! or an endpoint fail.
//!
//! - [`frames`]: a frame is looked at, lies in the yard and leaves as the fabric changed it
//! - [`answers`]: a simulated host gets frames one after the other, and answers
//! - [`datagrams`]: two endpoints with messages for each other, and what becomes of their datagrams
//! - [`bytes`]: bytes are described, and taken as datagrams
//! - [`seeds`]: right inputs of all targets, and how they are damaged
//!
//! The tests here run all of it on seeds and on seeds damaged at random. `tests/fuzz.sh` has libFuzzer look for inputs that reach more
//! code (`targets`, a package of its own for cargo-fuzz).

pub mod answers;
pub mod bytes;
pub mod datagrams;
pub mod frames;
pub mod seeds;
mod steps;

/// A target: takes bytes, and panics if what has to hold does not.
pub type Target = fn(&[u8]);

/// All targets, by their names.
pub const TARGETS: [(&str, Target); 4] = [
    ("frames", frames::run),
    ("answers", answers::run),
    ("datagrams", datagrams::run),
    ("bytes", bytes::run),
];
