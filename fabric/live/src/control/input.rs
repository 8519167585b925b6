//! What requests ask for, read; and errors that say what is wrong with them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fabric::fault::{Change, Direction, Fault};
use fabric::ids::LinkId;
use fabric::units::{Ratio, Time, parse_rate, parse_span};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::control::Refused;
use crate::control::view::Link;
use crate::motor::Action;

/// Losses are counted in parts of so many.
const PARTS: u32 = 1_000_000_000;

/// What is wrong with a request.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// In words.
    pub message: String,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub value: Option<Value>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

/// A request that was not carried out.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct ApiError {
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    /// Why.
    pub error: Problem,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        let error = Problem { message: message.into(), field: None, value: None, allowed: None };
        ApiError { status, error }
    }

    /// A field of a body is wrong.
    pub fn field(field: &str, value: Option<&Value>, allowed: &str) -> ApiError {
        let message = match value {
            Some(value) => format!("`{field}` is {value}; allowed is {allowed}"),
            None => format!("`{field}` is missing; allowed is {allowed}"),
        };
        ApiError::told(message, Some(field.to_owned()), value.cloned(), Some(allowed.to_owned()))
    }

    /// A body is wrong, in words that are made elsewhere.
    pub fn told(
        message: String,
        field: Option<String>,
        value: Option<Value>,
        allowed: Option<String>,
    ) -> ApiError {
        let error = Problem { message, field, value, allowed };
        ApiError { status: StatusCode::BAD_REQUEST, error }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(&self)).into_response()
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> ApiError {
        match refused {
            Refused::TooShort(error) => {
                let value = Value::String(error.delay.to_string());
                let allowed = format!("{} or more", error.shortest);
                ApiError::told(error.to_string(), Some("delay".into()), Some(value), Some(allowed))
            }
            other => ApiError::new(StatusCode::CONFLICT, other.to_string()),
        }
    }
}

/// A body that has to be an object.
///
/// # Errors
/// When it is no JSON, or no object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(ApiError::told(
            "the body is no object".to_owned(),
            None,
            Some(other),
            Some("a JSON object".to_owned()),
        )),
        Err(error) => {
            Err(ApiError::new(StatusCode::BAD_REQUEST, format!("the body is no JSON: {error}")))
        }
    }
}

/// What may be said of a link: see [`LinkChange`] in the document.
const FIELDS: [&str; 5] = ["rate", "delay", "loss", "down", "direction"];

/// How a link is to change. At least one of the first four.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "the document describes it; fields are read one by one, so that errors name them"
)]
pub(crate) struct LinkChange {
    /// The rate, with its unit: 1 Mb/s up to the rate that the link was built with.
    #[schema(example = "500 Mb/s")]
    rate: Option<String>,
    /// Propagation delay, with its unit: `delay_us_min` of the link or more. Always of both directions.
    #[schema(example = "20 us")]
    delay: Option<String>,
    /// Share of frames that are lost at random, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    loss: Option<f64>,
    /// Whether nothing passes.
    down: Option<bool>,
    /// `both` (the default), `up` (from `a` to `b`), `down`.
    direction: Option<String>,
}

/// What a change of a link means for the fabric.
///
/// # Errors
/// The first field that is wrong.
pub(crate) fn link_change(
    object: &Map<String, Value>,
    link: &Link,
) -> Result<Vec<Action>, ApiError> {
    if let Some((field, value)) = object.iter().find(|(key, _)| !FIELDS.contains(&key.as_str())) {
        let known = format!("no such field; there are {}", FIELDS.join(", "));
        return Err(ApiError::field(field, Some(value), &known));
    }
    let text = |key: &str| object.get(key).map(|value| (value, value.as_str().unwrap_or("")));
    let direction = match text("direction") {
        None | Some((_, "both")) => Direction::Both,
        Some((_, "up")) => Direction::Up,
        Some((_, "down")) => Direction::Down,
        Some((value, _)) => {
            return Err(ApiError::field("direction", Some(value), "both, up or down"));
        }
    };
    let id = LinkId(link.id);
    let fault = |change| Action::Link(Fault { at: Time::ZERO, link: id, direction, change });
    let mut actions = Vec::new();
    if let Some((value, text)) = text("delay") {
        let wrong = |allowed: &str| ApiError::field("delay", Some(value), allowed);
        let delay = parse_span(text).map_err(|_| wrong("a time with its unit, like \"20 us\""))?;
        if direction != Direction::Both {
            return Err(wrong("one for both directions, without `direction`"));
        }
        actions.push(Action::Delay { link: id, delay });
    }
    if let Some((value, text)) = text("rate") {
        let allowed = format!("1 Mb/s to {} Mb/s", link.rate_bps / 1_000_000);
        let wrong = || ApiError::field("rate", Some(value), &allowed);
        let rate = parse_rate(text).map_err(|_| wrong())?.bits_per_second();
        // Rates are kept as times of bytes: the built one, said again, may differ in its last digit.
        if rate > link.rate_bps + link.rate_bps / 100_000 {
            return Err(wrong());
        }
        let ratio = ratio(rate.min(link.rate_bps), link.rate_bps);
        actions.push(fault(Change::Rate { ratio, queues: false }));
    }
    if let Some(value) = object.get("loss") {
        let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or_else(|| ApiError::field("loss", Some(value), "0 to 1"))?;
        let parts = (share * f64::from(PARTS)).round() as u32;
        actions.push(fault(Change::DropRandom(Ratio::new(parts, PARTS))));
    }
    if let Some(value) = object.get("down") {
        let down = value.as_bool();
        let down = down.ok_or_else(|| ApiError::field("down", Some(value), "true or false"))?;
        actions.push(fault(if down { Change::Down } else { Change::Up }));
    }
    if actions.is_empty() {
        return Err(ApiError::told(
            "nothing is to change".to_owned(),
            None,
            None,
            Some("at least one of rate, delay, loss and down".to_owned()),
        ));
    }
    Ok(actions)
}

/// `part / whole`, in numbers of 32 bits.
fn ratio(mut part: u64, mut whole: u64) -> Ratio {
    while whole > u64::from(u32::MAX) {
        (part, whole) = (part / 2, whole / 2);
    }
    Ratio::new(part.max(1) as u32, whole as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<Action>, ApiError> {
        let (a, b) = ("leaf:0".to_owned(), "spine:1".to_owned());
        let link = Link { id: 3, a, b, rate_bps: 400_000_000_000, delay_us: 1.0 };
        link_change(value.as_object().expect("an object"), &link)
    }

    /// What is asked for is what happens: rates as ratios of the built one, losses as parts.
    #[test]
    fn changes_of_links_are_read() {
        let asked = json!({ "rate": "100 Gb/s", "loss": 0.25, "down": false, "direction": "up" });
        let link = |change| {
            let (at, link, direction) = (Time::ZERO, LinkId(3), Direction::Up);
            Action::Link(Fault { at, link, direction, change })
        };
        let ratio = ratio(100_000_000_000, 400_000_000_000);
        assert_eq!(ratio.of(400_000), 100_000);
        assert_eq!(
            read(asked).expect("right"),
            [
                link(Change::Rate { ratio, queues: false }),
                link(Change::DropRandom(Ratio::new(PARTS / 4, PARTS))),
                link(Change::Up)
            ]
        );
        let same = read(json!({ "rate": "400 Gb/s" })).expect("the rate it was built with");
        let Action::Link(Fault { change: Change::Rate { ratio, .. }, .. }) = same[0] else {
            panic!("{same:?}")
        };
        assert_eq!(ratio.as_f64(), 1.0);
    }

    /// What is wrong is refused with the field, what it was and what it may be.
    #[test]
    fn wrong_changes_are_refused() {
        for (asked, field, allowed) in [
            (json!({ "rate": "500 Gb/s" }), "rate", "1 Mb/s to 400000 Mb/s"),
            (json!({ "rate": 5 }), "rate", "1 Mb/s"),
            (json!({ "loss": 1.5 }), "loss", "0 to 1"),
            (json!({ "down": "yes" }), "down", "true or false"),
            (json!({ "down": true, "direction": "left" }), "direction", "both, up or down"),
            (json!({ "delay": "far" }), "delay", "20 us"),
            (json!({ "delay": "9 us", "direction": "up" }), "delay", "both directions"),
            (json!({ "colour": "red" }), "colour", "rate, delay, loss"),
        ] {
            let error = read(asked).expect_err("refused").error;
            assert_eq!(error.field.as_deref(), Some(field));
            assert!(error.allowed.expect("what is allowed").contains(allowed), "{field}");
            assert!(error.value.is_some());
        }
        assert!(read(json!({ "direction": "up" })).is_err(), "nothing to change");
    }
}
