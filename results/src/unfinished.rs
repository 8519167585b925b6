//! What a run that ended early still owed.

use fabric::probe::RunRecord;
use fabric::units::Time;

/// Messages named in the text.
const NAMED: usize = 10;

/// The messages that did not finish, as lines of text, and the ports whose `deadlock` is why; `None` when
/// all did.
pub fn unfinished(record: &RunRecord, deadlock: &[String]) -> Option<String> {
    let open: Vec<_> =
        record.messages.iter().filter(|message| message.acked == Time::NEVER).collect();
    if open.is_empty() && record.unposted == 0 {
        return None;
    }
    let mut text = format!("{} flows did not finish by {}:", open.len(), record.end);
    for message in open.iter().take(NAMED) {
        let arrival = match message.received {
            Time::NEVER => "not all received".to_owned(),
            at => format!("received at {at}, not all acknowledged"),
        };
        let state = match message.failed {
            Time::NEVER => arrival,
            at => format!("its transport gave up at {at}, {arrival}"),
        };
        text += &format!(
            "\n  flow {} from host {} to host {}, {} B posted at {}: {state}",
            message.id, message.src, message.dst, message.bytes, message.posted
        );
    }
    if open.len() > NAMED {
        text += &format!("\n  and {} more", open.len() - NAMED);
    }
    if record.unposted > 0 {
        text += &format!(
            "\n  {} more were never posted, because they waited for these",
            record.unposted
        );
    }
    if !deadlock.is_empty() {
        text += &format!(
            "\n  deadlock: these ports pause each other in a circle: {}",
            deadlock.join(", ")
        );
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::record;

    /// Finished runs owe nothing; others name what is open, at most ten, and what was never posted.
    #[test]
    fn open_flows_are_named() {
        assert_eq!(unfinished(&record(&[Some(1)]), &[]), None);
        let mut open = record(&[None; 12]);
        open.unposted = 3;
        open.messages[1].failed = Time(7);
        let text = unfinished(&open, &["a > b".into(), "b > a".into()]).unwrap();
        assert!(
            text.starts_with("12 flows did not finish by 9 ps:\n  flow 0 from host 0 to host 1")
        );
        let second = text.lines().nth(2).unwrap();
        assert!(second.ends_with("its transport gave up at 7 ps, not all received"), "{second}");
        assert!(text.ends_with(
            "and 2 more\n  3 more were never posted, because they waited for these\n  deadlock: \
                 these ports pause each other in a circle: a > b, b > a"
        ));
    }
}
