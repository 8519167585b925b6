//! Typed values out of a section: what a key means, what it may be, and what it is when left out.

use fabric::units::{self, Rate, Ratio, Span, UnitError};

use crate::error::UserError;
use crate::scenario::tree::{Item, Section, Table, Value};

impl<'a> Section<'a> {
    fn unit<T>(
        &self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, UnitError>,
    ) -> Result<Option<T>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let Value::Text(text) = &item.value else {
            return Err(self.wrong(
                key,
                item,
                &format!("a quantity with its unit, like {example}"),
            ));
        };
        parse(text)
            .map(Some)
            .map_err(|error| UserError::at(&item.origin, format!("`{}`: {error}", self.name(key))))
    }

    /// A duration.
    ///
    /// # Errors
    /// When the value is none.
    pub fn span(&self, key: &'static str) -> Result<Option<Span>, UserError> {
        self.unit(key, "\"1 us\"", units::parse_span)
    }

    /// The time that a signal takes over a cable of some length.
    ///
    /// # Errors
    /// When the value is no length.
    pub fn length(&self, key: &'static str) -> Result<Option<Span>, UserError> {
        self.unit(key, "\"30 m\"", units::parse_length)
    }

    /// A rate.
    ///
    /// # Errors
    /// When the value is none.
    pub fn rate(&self, key: &'static str) -> Result<Option<Rate>, UserError> {
        self.unit(key, "\"400 Gb/s\"", units::parse_rate)
    }

    /// A size: with a unit, or a whole number of bytes.
    ///
    /// # Errors
    /// When the value is none, or zero.
    pub fn bytes(&self, key: &'static str) -> Result<Option<u64>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let bytes = match &item.value {
            Value::Integer(bytes) if *bytes > 0 => *bytes as u64,
            Value::Text(text) => units::parse_bytes(text).map_err(|error| {
                UserError::at(&item.origin, format!("`{}`: {error}", self.name(key)))
            })?,
            _ => 0,
        };
        if bytes == 0 {
            return Err(self.wrong(key, item, "at least 1 byte, like \"2 MiB\" or 2000000"));
        }
        Ok(Some(bytes))
    }

    /// A fraction: a number, or text with `%`.
    ///
    /// # Errors
    /// When the value is none, negative, or above `most`.
    pub fn ratio(&self, key: &'static str, most: f64) -> Result<Option<Ratio>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        let text = match &item.value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            _ => return Err(self.wrong(key, item, "a fraction, like 0.25 or \"25 %\"")),
        };
        let ratio = units::parse_ratio(&text).map_err(|error| {
            UserError::at(&item.origin, format!("`{}`: {error}", self.name(key)))
        })?;
        if ratio.numerator == 0 || ratio.as_f64() > most {
            return Err(self.wrong(key, item, &format!("more than 0 and at most {most}")));
        }
        Ok(Some(ratio))
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// When the value is none of those.
    pub fn count(
        &self,
        key: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        match &item.value {
            Value::Integer(n) if *n >= 0 && (least..=most).contains(&(*n as u64)) => {
                Ok(Some(*n as u64))
            }
            _ => Err(self.wrong(key, item, &format!("a whole number from {least} to {most}"))),
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// When the value is none.
    pub fn number(&self, key: &'static str) -> Result<Option<f64>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        match &item.value {
            Value::Integer(number) if *number >= 0 => Ok(Some(*number as f64)),
            Value::Float(number) if *number >= 0.0 && number.is_finite() => Ok(Some(*number)),
            _ => Err(self.wrong(key, item, "a number, not negative")),
        }
    }

    /// True or false.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn truth(&self, key: &'static str) -> Result<Option<bool>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        match &item.value {
            Value::Boolean(truth) => Ok(Some(*truth)),
            _ => Err(self.wrong(key, item, "true or false")),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// When the value is none, or empty.
    pub fn text(&self, key: &'static str) -> Result<Option<String>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        match &item.value {
            Value::Text(text) if !text.is_empty() => Ok(Some(text.clone())),
            _ => Err(self.wrong(key, item, "text")),
        }
    }

    /// One of some words, each with what it stands for.
    ///
    /// # Errors
    /// When the value is none of them, with the nearest.
    pub fn word<T: Copy>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Option<T>, UserError> {
        let Some(item) = self.get(key) else { return Ok(None) };
        if let Value::Text(text) = &item.value {
            if let Some((_, meaning)) = words.iter().find(|(word, _)| word == text) {
                return Ok(Some(*meaning));
            }
            let near = topologies::text::nearest(text, words.iter().map(|(word, _)| *word));
            if let Some(near) = near {
                let error = self.wrong(key, item, &list(words));
                return Err(error.help(format!("did you mean `{near}`?")));
            }
        }
        Err(self.wrong(key, item, &list(words)))
    }

    /// A table inside this one; an empty one if it is not there.
    ///
    /// # Errors
    /// When the value is no table.
    pub fn table(&self, key: &'static str) -> Result<Section<'a>, UserError> {
        static EMPTY: Table = Table { entries: Vec::new() };
        match self.get(key) {
            None => Ok(Section::new(self.name(key), &EMPTY)),
            Some(Item { value: Value::Table(table), .. }) => {
                Ok(Section::new(self.name(key), table))
            }
            Some(item) => Err(self.wrong(key, item, "a table")),
        }
    }

    /// Tables inside this one: a list of them, or a single one.
    ///
    /// # Errors
    /// When the value is something else.
    pub fn tables(&self, key: &'static str) -> Result<Vec<(Section<'a>, &'a Item)>, UserError> {
        let Some(item) = self.get(key) else { return Ok(Vec::new()) };
        match &item.value {
            Value::Table(table) => Ok(vec![(Section::new(self.name(key), table), item)]),
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(number, entry)| match &entry.value {
                    Value::Table(table) => {
                        Ok((Section::new(format!("{}[{number}]", self.name(key)), table), entry))
                    }
                    _ => Err(self.wrong(key, entry, "a table")),
                })
                .collect(),
            _ => Err(self.wrong(key, item, "a table, or a list of tables")),
        }
    }
}

fn list<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
