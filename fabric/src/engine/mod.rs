//! The engine: time advances in windows that follow from the shortest link latency, the lookahead.
//!
//! Nodes that run a window cannot affect each other within it, so they are run one after the other, each for the
//! whole window while its state is in cache; what they send lands in later windows. Where every link joins nodes of
//! two classes, the classes take turns with windows up to twice as wide as the lookahead; else all nodes run windows
//! as wide as it. All agree on the start of the next window, the earliest event of all, so idle time costs nothing.
//! Results depend on the number of neither shards nor threads nor ranks, because a node is always run with exactly the
//! arrivals of its window, in an order that the model defines.
//!
//! - `window`: the loop every worker runs
//! - `shard`: some nodes, run by one thread; `recorder`: what is recorded of them over time
//! - `exchange`, `barrier`, `threads`: shards on many threads
//! - [`ranks`]: shards on many processes
//! - [`timers`]: a host's timers

pub(crate) mod barrier;
pub(crate) mod exchange;
pub mod ranks;
pub(crate) mod recorder;
pub(crate) mod shard;
pub(crate) mod threads;
pub mod timers;
pub(crate) mod window;

pub use window::Progress;
