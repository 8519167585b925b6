//! The state of a run between two windows, as bytes: to go on later, in another process, from there.
//!
//! What a run is assembled from is not in it: a run takes up a state after it was assembled from the same parts, over
//! the same shards. Threads and ranks may differ. Bytes mean something only to the program that wrote them.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::endpoint::Stored;
use crate::engine::shard::Shard;
use crate::engine::window::Outcome;
use crate::program::Program;
use crate::run::Run;

/// Why a state cannot be stored or taken up.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StoreError {
    /// Some part of the run has no stored form.
    #[error("this run has state that cannot be stored: {0}")]
    NotStored(String),
    /// The bytes are not what was written.
    #[error("{0}")]
    Damaged(String),
}

/// What of a run is not in its shards.
#[derive(Serialize, Deserialize)]
struct Whole {
    outcome: Outcome,
    shards: usize,
}

impl<E: Stored, P: Program + Serialize + DeserializeOwned> Run<E, P> {
    /// What of the run is not in its shards; the same on all ranks.
    ///
    /// # Errors
    /// [`StoreError::NotStored`].
    pub fn store_whole(&self) -> Result<Vec<u8>, StoreError> {
        encode(&Whole { outcome: self.outcome, shards: self.shards() })
    }

    /// The state of one of [this rank's shards](Run::own_shards).
    ///
    /// # Errors
    /// [`StoreError::NotStored`].
    pub fn store_shard(&self, shard: usize) -> Result<Vec<u8>, StoreError> {
        encode(&self.shards[shard - self.own_shards().start])
    }

    /// Takes up what [`Run::store_whole`] gave. Before any shard.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], also when the run has other shards.
    pub fn take_up_whole(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let whole: Whole = decode(bytes)?;
        if whole.shards != self.shards() {
            let text = format!("{} shards where this run has {}", whole.shards, self.shards());
            return Err(StoreError::Damaged(text));
        }
        self.outcome = whole.outcome;
        Ok(())
    }

    /// Takes up what [`Run::store_shard`] gave for one of this rank's shards.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn take_up_shard(&mut self, shard: usize, bytes: &[u8]) -> Result<(), StoreError> {
        let place = shard - self.own_shards().start;
        let mut stored: Shard<E, P> = decode(bytes)?;
        let built = &mut self.shards[place];
        let sizes = |shard: &Shard<E, P>| (shard.nodes.len(), shard.ports.len(), shard.hosts.len());
        if sizes(&stored) != sizes(built) {
            return Err(StoreError::Damaged(format!("shard {shard} has other nodes")));
        }
        std::mem::swap(built, &mut stored);
        built.adopt(stored);
        Ok(())
    }
}

impl<E: Stored, P: Program> Shard<E, P> {
    /// Takes over what is not state from the shard as it was assembled: only changes that it has not seen are to
    /// come.
    fn adopt(&mut self, mut built: Shard<E, P>) {
        self.profiles = built.profiles;
        self.outlet.adopt(built.outlet);
        for (switch, built) in self.switches.iter_mut().zip(std::mem::take(&mut built.switches)) {
            switch.adopt(built);
        }
        for (node, changes) in &mut built.faults {
            let seen = self.changed.get(node).map_or(0, |seen| (*seen).min(changes.len()));
            changes.drain(..seen).for_each(|change| self.renew(*node, change));
        }
        built.faults.retain(|_, changes| !changes.is_empty());
        self.faults = built.faults;
        for (host, built) in self.hosts.iter_mut().zip(&built.hosts) {
            host.nic.endpoint.adopt(&built.nic.endpoint);
            if let (Some(own), Some(built)) = (&mut host.inner, &built.inner) {
                own.nic.endpoint.adopt(&built.nic.endpoint);
            }
        }
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| StoreError::NotStored(error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |text: String| StoreError::Damaged(text);
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(damaged(format!("{} B too many", rest.len()))),
        Err(error) => Err(damaged(error.to_string())),
    }
}
