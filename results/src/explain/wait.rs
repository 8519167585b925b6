//! What a host did while a packet of a message waited: it sent others of it, or something held it back.

use fabric::ids::{HostId, MessageId};
use fabric::units::Time;
use fabric::watch::{Hold, Holding};

use crate::explain::chain::Pieces;
use crate::explain::{Cause, Seen};

/// What a state of the transport means; `otherwise` if nothing of the message waits there.
fn cause(holding: &Holding, otherwise: Cause) -> Cause {
    match holding.hold {
        Some(Hold::Ready) if holding.paused => Cause::Paused,
        Some(Hold::Ready) => Cause::Nic,
        Some(Hold::Window) => Cause::Window,
        Some(Hold::Credit) => Cause::Credit,
        Some(Hold::Rate) => Cause::Rate,
        Some(Hold::Behind) => Cause::Behind,
        Some(Hold::Asked) => Cause::Asked,
        Some(Hold::Opening) => Cause::Opening,
        Some(Hold::Refused) => Cause::Refused,
        Some(Hold::Sent) | None => otherwise,
    }
}

impl Seen<'_> {
    /// Explains the time from `from` to where the pieces begin, at a host that sends a message; `otherwise` is what it was
    /// spent on while the transport had nothing of it to send.
    pub(super) fn wait(
        &self,
        host: HostId,
        message: MessageId,
        (from, otherwise): (Time, Cause),
        pieces: &mut Pieces,
    ) {
        let Some(notes) = self.notes.get(&host) else { return };
        let until = pieces.begin();
        let from = pieces.bound(from);
        let place = || self.fabric.host_name(host);
        let sent: Vec<(Time, Time)> = notes
            .sent
            .iter()
            .filter(|sent| sent.message == Some(message) && sent.at < until && sent.free > from)
            .map(|sent| (sent.at, sent.free))
            .collect();
        let holdings: Vec<&Holding> =
            notes.holdings.iter().filter(|holding| holding.message == message).collect();
        let mut moments: Vec<Time> = sent.iter().flat_map(|(at, free)| [*at, *free]).collect();
        moments.extend(holdings.iter().map(|holding| holding.at));
        moments.push(from);
        moments.retain(|moment| (from..until).contains(moment));
        moments.sort_unstable();
        moments.dedup();
        for moment in moments.into_iter().rev() {
            let on_wire = sent.iter().any(|(at, free)| (*at..*free).contains(&moment));
            let held = holdings.partition_point(|holding| holding.at <= moment);
            let held =
                held.checked_sub(1).map_or(otherwise, |place| cause(holdings[place], otherwise));
            let cause = if on_wire { Cause::Serialisation } else { held };
            pieces.push(cause, moment, place);
        }
    }
}
