//! Why a topology cannot be built.

/// A parameter that does not work, named as in a scenario.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{key}` is {found}, but {allowed}")]
pub struct TopologyError {
    /// The parameter at fault, as a key of `[topology]`.
    pub key: &'static str,
    /// Its value.
    pub found: String,
    /// What is possible.
    pub allowed: String,
}

impl TopologyError {
    /// An error about `key`.
    pub fn new(
        key: &'static str,
        found: impl ToString,
        allowed: impl Into<String>,
    ) -> TopologyError {
        TopologyError { key, found: found.to_string(), allowed: allowed.into() }
    }
}
