//! Tables of a run's folder read back: columns by name.

use arrow_array::{Array, Float64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A table in memory.
#[derive(Clone, Debug)]
pub struct Frame {
    batches: Vec<RecordBatch>,
}

impl Frame {
    /// Reads a Parquet file.
    ///
    /// # Errors
    /// A sentence, when it is no such file.
    pub fn parse(bytes: Vec<u8>) -> Result<Frame, String> {
        let file = bytes::Bytes::from(bytes);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())?;
        let batches = builder.build().map_err(|error| error.to_string())?;
        let batches: Result<Vec<RecordBatch>, _> = batches.collect();
        Ok(Frame { batches: batches.map_err(|error| error.to_string())? })
    }

    /// Its rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The arrays of a column, if it is there and of that type.
    fn arrays<'a, A: Array + 'static>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Option<&'a A>> {
        let array = move |batch: &'a RecordBatch| {
            batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref::<A>())
        };
        self.batches.iter().map(array)
    }

    /// A column of text.
    ///
    /// # Errors
    /// A sentence, when there is none of that name.
    pub fn text<'a>(&'a self, name: &'a str) -> Result<Vec<&'a str>, String> {
        let mut values = Vec::with_capacity(self.rows());
        for array in self.arrays::<StringArray>(name) {
            let array = array.ok_or_else(|| format!("there is no column of text `{name}`"))?;
            values.extend((0..array.len()).map(|place| array.value(place)));
        }
        Ok(values)
    }

    /// A column of numbers; missing ones are `None`.
    ///
    /// # Errors
    /// A sentence, when there is none of that name.
    pub fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, String> {
        let mut values = Vec::with_capacity(self.rows());
        let whole = self.arrays::<UInt64Array>(name);
        for (whole, real) in whole.zip(self.arrays::<Float64Array>(name)) {
            match (whole, real) {
                (Some(array), _) => values.extend(array.iter().map(|v| v.map(|v| v as f64))),
                (None, Some(array)) => values.extend(array.iter()),
                _ => return Err(format!("there is no column of numbers `{name}`")),
            }
        }
        Ok(values)
    }

    /// A column of whole numbers of which none is missing; 0 stands for one that is.
    ///
    /// # Errors
    /// A sentence, when there is none of that name.
    pub fn whole(&self, name: &str) -> Result<Vec<u64>, String> {
        let mut values = Vec::with_capacity(self.rows());
        for array in self.arrays::<UInt64Array>(name) {
            let array = array.ok_or_else(|| format!("there is no column of numbers `{name}`"))?;
            values.extend(array.iter().map(|value| value.unwrap_or(0)));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::table::Format;
    use crate::records::{Bounds, Records};

    /// What was written is read back, and what is not there is said.
    #[test]
    fn columns_are_read_back() {
        let runs = [crate::records::tests::run(&[Some(5), None])];
        let records = Records { runs: &runs, fabrics: &[], bounds: Bounds::default() };
        let flows = records.tables().swap_remove(0).encode(Format::Parquet);
        let frame = Frame::parse(flows).unwrap();
        assert_eq!(frame.text("variant").unwrap(), ["uec", "uec"]);
        assert_eq!(frame.numbers("fct_ps").unwrap(), [Some(5_000_000.0), None]);
        assert_eq!(frame.whole("message").unwrap(), [0, 1]);
        assert_eq!(frame.text("colour").unwrap_err(), "there is no column of text `colour`");
        assert!(Frame::parse(b"nothing".to_vec()).is_err());
    }
}
