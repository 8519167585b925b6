//! How a packet delivery context ends for its initiator, and what it leaves behind.

use fabric::endpoint::Message;

use super::{Room, Sender, State};
use crate::uet::ccc::Ccc;
use crate::uet::config::UetConfig;
use crate::uet::congestion::CongestionControl;
use crate::uet::header::NackCode;
use crate::uet::initiator::RETURN;
use crate::uet::messages::{Messages, Report};
use crate::uet::outstanding::Outstanding;

impl Sender {
    /// Whether a fatal NACK says that the other side has closed the PDC whose return direction this is, having all
    /// that it read, and gave up telling so. A PDC that failed keeps the receiver that it has named.
    pub(in crate::uet) fn is_read_out(&self, code: NackCode) -> bool {
        self.is_return && (code == NackCode::Closing || self.dpdcid & RETURN == 0)
    }

    /// Gives the context up: what it had in flight leaves the congestion control context, and the posts
    /// that it fails are returned.
    pub(in crate::uet) fn fail<C>(
        &mut self,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
    ) -> Vec<(Message, Report)> {
        let (flying, _) = self.outstanding.bytes();
        ccc.in_flight -= flying as i64;
        self.end(ccc, config)
    }

    /// Ends the context, of which all has arrived, what was taken for lost with it. The posts whose
    /// acknowledgements are missing are returned.
    pub(in crate::uet) fn arrive<C: CongestionControl>(
        &mut self,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
    ) -> Vec<(Message, Report)> {
        let (flying, lost) = self.outstanding.bytes();
        ccc.on_arrived(flying, lost);
        self.end(ccc, config)
    }

    /// Nothing of the context waits to be sent any more; the posts that it had left are returned.
    fn end<C>(&mut self, ccc: &mut Ccc<C>, config: &UetConfig) -> Vec<(Message, Report)> {
        let (_, lost) = self.outstanding.bytes();
        ccc.lost -= lost as i64;
        ccc.unsent -= self.messages.waiting_bytes(config.payload) as i64;
        let left = self.messages.unfinished();
        self.release();
        left
    }

    /// Closes the context and gives back its memory.
    pub(in crate::uet) fn release(&mut self) {
        self.state = State::Closed;
        self.outstanding = Outstanding::new(self.outstanding.next());
        self.messages = Messages::default();
    }

    /// Gives away the memory of an idle context that stays open.
    pub(in crate::uet) fn shrink(&mut self) -> Room {
        let mut messages = std::mem::take(&mut self.messages);
        messages.clear();
        Room { outstanding: self.outstanding.shrink(), messages }
    }
}
