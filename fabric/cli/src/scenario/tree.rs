//! TOML with places: values that know where they were written, tables that know what was asked of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::error::{Origin, Source, UserError};

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A list.
    List(Vec<Item>),
    /// A table.
    Table(Table),
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value.
    pub value: Value,
    /// Its place.
    pub origin: Origin,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The key's place.
    pub key_origin: Origin,
    /// The value.
    pub item: Item,
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its entries.
    pub entries: Vec<Entry>,
}

impl Value {
    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Text(text) => format!("`{text}`"),
            Value::Integer(number) => format!("`{number}`"),
            Value::Float(number) => format!("`{number}`"),
            Value::Boolean(truth) => format!("`{truth}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// The same as plain TOML.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Value::Text(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Float(number) => toml::Value::Float(*number),
            Value::Boolean(truth) => toml::Value::Boolean(*truth),
            Value::List(items) => {
                toml::Value::Array(items.iter().map(|item| item.value.to_toml()).collect())
            }
            Value::Table(table) => toml::Value::Table(
                table.entries.iter().map(|e| (e.key.clone(), e.item.value.to_toml())).collect(),
            ),
        }
    }
}

impl Table {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Item> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.item)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Item> {
        let place = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(place).item)
    }

    /// Sets a key.
    pub fn set(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    /// This table with another laid over it: tables key by key, other values replaced. A table whose
    /// `kind` differs replaces the old one whole, because its keys mean something else.
    #[must_use]
    pub fn overlaid(mut self, over: &Table) -> Table {
        for entry in &over.entries {
            let merged = match (self.get(&entry.key).map(|item| &item.value), &entry.item.value) {
                (Some(Value::Table(old)), Value::Table(new)) if same_kind(old, new) => {
                    Value::Table(old.clone().overlaid(new))
                }
                _ => entry.item.value.clone(),
            };
            let item = Item { value: merged, origin: entry.item.origin.clone() };
            self.set(Entry { item, ..entry.clone() });
        }
        self
    }
}

fn same_kind(old: &Table, new: &Table) -> bool {
    let kind = |table: &Table| match table.get("kind").map(|item| &item.value) {
        Some(Value::Text(kind)) => Some(kind.clone()),
        _ => None,
    };
    kind(new).is_none() || kind(new) == kind(old)
}

/// Reads a text.
///
/// # Errors
/// Where the text is no TOML.
pub fn parse(source: &Arc<Source>) -> Result<Item, UserError> {
    let origin = |range| Origin { source: Arc::clone(source), range };
    let table = DeTable::parse(&source.text).map_err(|error| {
        let range = error.span().unwrap_or(0..0);
        UserError::at(&origin(range), error.message().to_owned())
    })?;
    let range = table.span();
    let table = convert_table(source, table.get_ref())?;
    Ok(Item { value: Value::Table(table), origin: origin(range) })
}

fn convert_table(source: &Arc<Source>, table: &DeTable<'_>) -> Result<Table, UserError> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let range = value.span();
        let origin = Origin { source: Arc::clone(source), range };
        let item = Item { value: convert(source, &origin, value.get_ref())?, origin };
        let key_origin = Origin { source: Arc::clone(source), range: key.span() };
        entries.push(Entry { key: key.get_ref().to_string(), key_origin, item });
    }
    // The parser sorts keys; the file's order is the one people mean.
    entries.sort_by_key(|entry| entry.key_origin.range.start);
    Ok(Table { entries })
}

fn convert(source: &Arc<Source>, at: &Origin, value: &DeValue<'_>) -> Result<Value, UserError> {
    Ok(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::Integer(parsed.map_err(|_| UserError::at(at, "the number is out of range"))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse();
            Value::Float(parsed.map_err(|_| UserError::at(at, "the number cannot be read"))?)
        }
        DeValue::Datetime(_) => return Err(UserError::at(at, "no key takes a date")),
        DeValue::Array(items) => {
            let mut list = Vec::new();
            for item in items.iter() {
                let origin = Origin { source: Arc::clone(source), range: item.span() };
                list.push(Item { value: convert(source, &origin, item.get_ref())?, origin });
            }
            Value::List(list)
        }
        DeValue::Table(table) => Value::Table(convert_table(source, table)?),
    })
}

/// Applies `--set key.path=value` to a tree. The value is TOML, or bare text.
///
/// # Errors
/// When there is no `=`, or the path leads through something that is no table.
pub fn set(root: &mut Table, argument: &str) -> Result<(), UserError> {
    let Some((path, value)) = argument.split_once('=') else {
        let message = format!("`--set {argument}` has no `=`");
        return Err(UserError::new(message).help("write for example --set topology.hosts=256"));
    };
    let (path, value) = (path.trim(), value.trim());
    let source = Arc::new(Source {
        name: format!("--set {path}"),
        text: value.to_owned(),
        folder: std::env::current_dir().ok(),
    });
    let origin = Origin { source: Arc::clone(&source), range: 0..value.len() };
    let value = DeValue::parse(value)
        .ok()
        .and_then(|parsed| convert(&source, &origin, parsed.get_ref()).ok())
        .unwrap_or_else(|| Value::Text(value.to_owned()));
    put(root, path, Item { value, origin })
}

/// Sets the key at a path of names with dots between.
///
/// # Errors
/// When the path leads through something that is no table.
pub fn put(root: &mut Table, path: &str, mut item: Item) -> Result<(), UserError> {
    let origin = item.origin.clone();
    let mut keys: Vec<&str> = path.split('.').collect();
    let mut known = Some(&*root);
    for (place, key) in keys[..keys.len() - 1].iter().enumerate() {
        let Some(found) = known.and_then(|table| table.get(key)) else { break };
        let Value::Table(table) = &found.value else {
            let way = keys[..=place].join(".");
            let message = format!("`{path}` cannot be set: `{way}` is {}", found.value.describe());
            let help = format!(
                "a key is set in a table; write it in the file, in each `{way}` of the list"
            );
            let error = UserError::at(&origin, message);
            return Err(match found.value {
                Value::List(_) => error.help(help),
                _ => error,
            });
        };
        known = Some(table);
    }
    let first = keys.remove(0);
    for key in keys.into_iter().rev() {
        let entry = Entry { key: key.to_owned(), key_origin: origin.clone(), item };
        item = Item { value: Value::Table(Table { entries: vec![entry] }), origin: origin.clone() };
    }
    let key = first.to_owned();
    let over = Table { entries: vec![Entry { key, key_origin: origin, item }] };
    *root = std::mem::take(root).overlaid(&over);
    Ok(())
}

/// The place that is all of a text.
pub fn whole(source: &Arc<Source>) -> Origin {
    Origin { source: Arc::clone(source), range: 0..0 }
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read; the message names it and the reason.
pub fn read(path: &Path, mentioned: Option<&Origin>) -> Result<Arc<Source>, UserError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
            std::io::ErrorKind::InvalidData => "it is not a text file".to_owned(),
            _ => error.to_string(),
        };
        let message = format!("cannot read {}: {reason}", path.display());
        match mentioned {
            Some(origin) => UserError::at(origin, message),
            None => UserError::new(message),
        }
    })?;
    let folder = path.parent().map(Path::to_path_buf);
    Ok(Arc::new(Source { name: path.display().to_string(), text, folder }))
}

/// A table being read: every key that is asked for becomes known, and what nobody asked for is an error.
pub struct Section<'a> {
    path: String,
    table: &'a Table,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The section at `path`.
    pub fn new(path: impl Into<String>, table: &'a Table) -> Section<'a> {
        Section { path: path.into(), table, known: RefCell::new(Vec::new()) }
    }

    /// The key with its path.
    pub fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<&'a Item> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    /// Where the values of its keys stand.
    pub fn places(&self) -> BTreeMap<String, Origin> {
        let entries = self.table.entries.iter();
        entries.map(|entry| (entry.key.clone(), entry.item.origin.clone())).collect()
    }

    /// Fails for the first key that nobody asked for.
    ///
    /// # Errors
    /// With the nearest known key.
    pub fn finish(&self) -> Result<(), UserError> {
        let known = self.known.borrow();
        for entry in &self.table.entries {
            if !known.contains(&entry.key.as_str()) {
                let message = format!("unknown key `{}`", self.name(&entry.key));
                let near = topologies::text::nearest(&entry.key, known.iter().copied());
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                return Err(UserError::at(&entry.key_origin, message).help(help));
            }
        }
        Ok(())
    }

    /// An error about the value of a key.
    pub fn wrong(&self, key: &str, item: &Item, allowed: &str) -> UserError {
        let message =
            format!("`{}` is {}; expected {allowed}", self.name(key), item.value.describe());
        UserError::at(&item.origin, message)
    }
}
