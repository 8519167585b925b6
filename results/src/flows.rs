//! A record for every message.

use fabric::probe::MessageRecord;
use fabric::units::{Span, Time};

use crate::columns::{Column, parquet};

/// The messages of one workload of one variant.
#[derive(Clone, Debug)]
pub struct FlowSet {
    /// Variant.
    pub variant: String,
    /// Workload.
    pub workload: String,
    /// Messages.
    pub messages: Vec<MessageRecord>,
    /// The ideal completion time of each.
    pub ideals: Vec<Span>,
    /// The workload's jobs, if it consists of such: names, and the first of their messages and the first after them.
    pub jobs: Vec<(String, (u32, u32))>,
}

impl FlowSet {
    /// The job of a message; nothing where there are none.
    fn job(&self, message: &MessageRecord) -> String {
        let own =
            |(_, (first, end)): &&(String, (u32, u32))| (*first..*end).contains(&message.id.0);
        self.jobs.iter().find(own).map_or_else(String::new, |(name, _)| name.clone())
    }

    /// `fct_us` or `slowdown` of a message that finished.
    pub fn figure_of(&self, message: u32, figure: &str) -> Option<f64> {
        let place = self.messages.iter().position(|m| m.id.0 == message)?;
        let message = &self.messages[place];
        let time = (message.acked != Time::NEVER).then(|| message.acked.since(message.posted))?;
        match figure {
            "fct_us" => Some(time.as_micros()),
            "slowdown" => Some(time.0 as f64 / self.ideals.get(place)?.0.max(1) as f64),
            _ => None,
        }
    }
}

/// All messages as a Parquet file: one row a message.
pub fn flows(sets: &[FlowSet]) -> Vec<u8> {
    let rows =
        || sets.iter().flat_map(|set| set.messages.iter().map(move |message| (set, message)));
    let time = |time: Time| (time != Time::NEVER).then_some(time.0);
    let columns = vec![
        Column::text(
            "variant",
            "variant of the scenario",
            rows().map(|(set, _)| set.variant.clone()),
        ),
        Column::text(
            "workload",
            "workload of the variant",
            rows().map(|(set, _)| set.workload.clone()),
        ),
        Column::text(
            "job",
            "job of the workload; empty if it has none",
            rows().map(|(set, message)| set.job(message)),
        ),
        Column::numbers(
            "message",
            "",
            "number of the message, unique in its workload",
            rows().map(|(_, m)| u64::from(m.id.0)),
        ),
        Column::numbers("src", "host", "sending host", rows().map(|(_, m)| u64::from(m.src.0))),
        Column::numbers("dst", "host", "receiving host", rows().map(|(_, m)| u64::from(m.dst.0))),
        Column::numbers("bytes", "B", "payload", rows().map(|(_, m)| m.bytes)),
        Column::numbers(
            "posted_ps",
            "ps",
            "when the program posted it, from the start of the workload",
            rows().map(|(_, m)| m.posted.0),
        ),
        Column::optional(
            "received_ps",
            "ps",
            "when its last byte arrived; missing if it did not",
            rows().map(|(_, m)| time(m.received)),
        ),
        Column::optional(
            "acked_ps",
            "ps",
            "when its sender had the last acknowledgement; missing if it did not",
            rows().map(|(_, m)| time(m.acked)),
        ),
        Column::optional(
            "failed_ps",
            "ps",
            "when its transport gave up on it; missing if it did not",
            rows().map(|(_, m)| time(m.failed)),
        ),
        Column::optional(
            "fct_ps",
            "ps",
            "completion time: acked_ps - posted_ps",
            rows().map(|(_, m)| time(m.acked).map(|acked| acked - m.posted.0)),
        ),
        Column::numbers(
            "ideal_ps",
            "ps",
            "completion time in an empty fabric, without headers; fct_ps over it is the slowdown",
            sets.iter().flat_map(|set| set.ideals.iter().map(|ideal| ideal.0)),
        ),
    ];
    parquet("Ultraloom flows", columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::record;
    use arrow_array::{Array, UInt64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// What is written is read back, with units in the file and missing times as missing.
    #[test]
    fn flows_are_read_back() {
        let messages = record(&[Some(5), None]).messages;
        let ideals = vec![Span::from_micros(2); 2];
        let (variant, workload) = ("uec".into(), "all-reduce".into());
        let jobs = vec![("a".to_owned(), (0, 1)), ("b".to_owned(), (1, 2))];
        let set = FlowSet { variant, workload, messages, ideals, jobs };
        let file = bytes::Bytes::from(flows(&[set.clone(), set]));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = reader.schema().clone();
        assert_eq!(schema.metadata()["schema_version"], "1");
        assert_eq!(schema.field_with_name("bytes").unwrap().metadata()["unit"], "B");
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        assert_eq!(batch.num_rows(), 4);
        let fct = batch.column_by_name("fct_ps").unwrap();
        let fct = fct.as_any().downcast_ref::<UInt64Array>().unwrap();
        assert_eq!(fct.value(0), 5_000_000);
        assert!(fct.is_null(1) && fct.is_null(3));
        let job = batch.column_by_name("job").unwrap();
        let job = job.as_any().downcast_ref::<arrow_array::StringArray>().unwrap();
        assert_eq!((job.value(0), job.value(3)), ("a", "b"));
    }
}
