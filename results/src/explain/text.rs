//! Explanations for people.

use std::fmt::Write as _;

use fabric::units::Span;

use crate::columns_of_text::aligned;
use crate::explain::{Cause, End, Explanation, Leg, Piece};

/// Time spent on one thing on one leg.
struct Share {
    leg: Leg,
    cause: Cause,
    /// Where; of what every hop takes, how many hops.
    place: Place,
    time: Span,
    detail: String,
}

#[derive(PartialEq, Eq)]
enum Place {
    At(String),
    /// Of all links or nodes of the leg; how many pieces.
    Hops(u32),
}

/// Whether every hop takes some of it, so that the sum over a leg says enough.
fn is_of_every_hop(piece: &Piece) -> bool {
    piece.leg != Leg::Sender
        && matches!(piece.cause, Cause::Serialisation | Cause::Propagation | Cause::Processing)
}

/// Pieces of the same leg, cause and place put together, in the order of their first.
fn shares(pieces: &[Piece]) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for piece in pieces {
        let time = Span(piece.to_ps - piece.from_ps);
        let is_same = |share: &&mut Share| {
            let place = match &share.place {
                Place::At(place) => *place == piece.place,
                Place::Hops(_) => true,
            };
            (share.leg, share.cause, &share.detail) == (piece.leg, piece.cause, &piece.detail)
                && place
        };
        if let Some(share) = shares.iter_mut().find(is_same) {
            share.time = share.time + time;
            if let Place::Hops(count) = &mut share.place {
                *count += 1;
            }
            continue;
        }
        let place = match is_of_every_hop(piece) {
            true => Place::Hops(1),
            false => Place::At(piece.place.clone()),
        };
        let (leg, cause, detail) = (piece.leg, piece.cause, piece.detail.clone());
        shares.push(Share { leg, cause, place, time, detail });
    }
    shares
}

impl Explanation {
    /// A head line, the way, a line for each leg, cause and place in the order of the way, and the sum.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Explanation { variant, workload, message, src, dst, bytes, .. } = self;
        let end = match self.end {
            End::Acknowledged => "to its last acknowledgement",
            End::Received => "to its last byte received",
            End::Failed => "until its transport gave up",
            End::Unfinished => "to the end of the run, unfinished",
        };
        let time = self.time();
        let _ = writeln!(
            text,
            "{variant}, {workload}: message {message} of {bytes} B from host {src} to {dst}: {time} {end}"
        );
        let path = self.path();
        if !path.is_empty() {
            let _ = writeln!(text, "  the data that counted went by {}", path.join(" > "));
        }
        let percent = |time: Span| {
            let whole = self.time().0.max(1) as f64;
            format!("{:.1} %", 100.0 * time.0 as f64 / whole)
        };
        let row = |share: Share| {
            let what = match share.detail.as_str() {
                "" => share.cause.name().to_owned(),
                detail => format!("{}, {detail}", share.cause.name()),
            };
            let place = match share.place {
                Place::At(place) => place,
                Place::Hops(1) => "1 hop".to_owned(),
                Place::Hops(count) => format!("{count} hops"),
            };
            let what = format!("{}: {what}", share.leg.name());
            vec![what, place, share.time.to_string(), percent(share.time)]
        };
        let mut rows: Vec<Vec<String>> = shares(&self.pieces).into_iter().map(row).collect();
        rows.push(["sum", "", &time.to_string(), "100.0 %"].map(str::to_owned).to_vec());
        text + &aligned(&["what", "where", "time", "share"], rows)
    }
}
