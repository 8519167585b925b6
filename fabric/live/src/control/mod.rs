//! Looking at a session and changing it while it runs: over HTTP, or on a terminal.
//!
//! - this file: orders on their way to the loop and back, and the [`Snapshot`] that the loop shows
//! - [`view`]: what is shown; [`helm`]: the loop's side
//! - [`server`]: HTTP on a thread of its own; `api`: its requests; `document`: what it says of itself; [`input`]: bodies read;
//!   `metrics`: for Prometheus; `page`: for people
//!
//! The loop never waits for any of it: it takes orders between two windows, and shows itself a few times a second.

mod api;
mod document;
pub mod helm;
pub mod input;
mod metrics;
mod page;
pub mod server;
pub mod view;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use fabric::error::TooShort;
use tokio::sync::{oneshot, watch};

use crate::motor::Action;
use view::Snapshot;

/// Orders that may wait for the loop.
const ORDERS: usize = 64;

/// What the loop is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Change the fabric: all of it, or nothing if one is impossible. Times count from the moment at which the loop takes the order.
    Change(Vec<Action>),
    /// Let emulated time stand still.
    Pause,
    /// Let it go on.
    Resume,
    /// End the session, as Ctrl-C does.
    Stop,
}

/// Why an order was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// A link cannot become as short.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// Too many faults wait for their time.
    #[error("{0} changes wait for their time; that is the most")]
    TooMany(usize),
    /// It is paused.
    #[error("the session is paused already")]
    Paused,
    /// It is not.
    #[error("the session is not paused")]
    Running,
    /// More orders wait than the loop takes.
    #[error("too many orders wait; try again")]
    Busy,
    /// The session is over.
    #[error("the session is over")]
    Over,
}

/// An order with where its answer goes.
#[derive(Debug)]
pub struct Asked {
    pub(crate) order: Order,
    pub(crate) answer: oneshot::Sender<Result<(), Refused>>,
}

/// The side of those who look and order; any number of them.
#[derive(Clone)]
pub struct Remote {
    orders: SyncSender<Asked>,
    shown: watch::Receiver<Arc<Snapshot>>,
}

impl Remote {
    /// How it stood a moment ago.
    pub fn view(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shown.borrow())
    }

    /// Orders something, without waiting: the answer comes once the loop has done it.
    ///
    /// # Errors
    /// When the session is over or has too many orders.
    pub fn order(&self, order: Order) -> Result<oneshot::Receiver<Result<(), Refused>>, Refused> {
        let (answer, answered) = oneshot::channel();
        self.orders.try_send(Asked { order, answer }).map_err(|error| match error {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Over,
        })?;
        Ok(answered)
    }
}

/// The loop's end of the line.
pub struct Line {
    pub(crate) orders: Receiver<Asked>,
    pub(crate) shown: watch::Sender<Arc<Snapshot>>,
}

/// A line between a loop and those who look at it.
pub fn line() -> (Line, Remote) {
    let (send, orders) = sync_channel(ORDERS);
    let (shown, seen) = watch::channel(Arc::default());
    (Line { orders, shown }, Remote { orders: send, shown: seen })
}
