//! Chakra execution traces (`formats.md`): a graph of nodes a rank, as protobuf (`.et`) or JSON.
//!
//! Nodes compute for the time that was measured. A collective whose size is not in the trace takes the time that was
//! measured, too. Nodes wait for those that they depend on by data and by control; where both together go round in a circle, as in
//! traces whose control dependencies say who called whom, only by data.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::units::Span;
use prost::Message as _;

use crate::collective::Kind;
use crate::traces::{Action, Node, stuck};

#[derive(Clone, PartialEq, prost::Message)]
struct RawNode {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(uint64, repeated, tag = "4")]
    ctrl_deps: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    data_deps: Vec<u64>,
    #[prost(uint64, tag = "7")]
    duration_micros: u64,
    #[prost(message, repeated, tag = "10")]
    attr: Vec<RawAttribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawAttribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(oneof = "Value", tags = "3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(double, tag = "3")]
    Double(f64),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(int32, tag = "7")]
    Int32(i32),
    #[prost(int64, tag = "9")]
    Int64(i64),
    #[prost(uint32, tag = "11")]
    Uint32(u32),
    #[prost(uint64, tag = "13")]
    Uint64(u64),
    #[prost(sint32, tag = "15")]
    Sint32(i32),
    #[prost(sint64, tag = "17")]
    Sint64(i64),
    #[prost(fixed32, tag = "19")]
    Fixed32(u32),
    #[prost(fixed64, tag = "21")]
    Fixed64(u64),
    #[prost(sfixed32, tag = "23")]
    Sfixed32(i32),
    #[prost(sfixed64, tag = "25")]
    Sfixed64(i64),
    #[prost(bool, tag = "27")]
    Bool(bool),
    #[prost(string, tag = "29")]
    Text(String),
}

impl Value {
    fn number(&self) -> Option<u64> {
        match self {
            Value::Double(value) if *value >= 0.0 => Some(*value as u64),
            Value::Float(value) if *value >= 0.0 => Some(*value as u64),
            Value::Int32(value) | Value::Sint32(value) | Value::Sfixed32(value) => {
                u64::try_from(*value).ok()
            }
            Value::Int64(value) | Value::Sint64(value) | Value::Sfixed64(value) => {
                u64::try_from(*value).ok()
            }
            Value::Uint32(value) | Value::Fixed32(value) => Some(u64::from(*value)),
            Value::Uint64(value) | Value::Fixed64(value) => Some(*value),
            Value::Bool(value) => Some(u64::from(*value)),
            _ => None,
        }
    }
}

/// A node of either form.
struct Plain {
    id: u64,
    name: String,
    kind: i64,
    /// What it needs the results of.
    data: Vec<u64>,
    /// What it was called by, or is to follow for another reason.
    control: Vec<u64>,
    time: Span,
    numbers: BTreeMap<String, u64>,
}

/// Reads the trace of one of `ranks` ranks. Whether it is protobuf or JSON is told by its content.
///
/// # Errors
/// A sentence with the node, or the byte, of what cannot be read.
pub fn parse(bytes: &[u8], ranks: u32) -> Result<Vec<Node>, String> {
    let json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let plain = if json { from_json(bytes)? } else { from_protobuf(bytes)? };
    nodes(&plain, ranks)
}

fn from_protobuf(bytes: &[u8]) -> Result<Vec<Plain>, String> {
    let mut rest = bytes;
    let mut found = Vec::new();
    let mut first = true;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let wrong = |what: &str| {
            format!("byte {at}: {what}; expected Chakra messages behind their lengths")
        };
        let length =
            prost::decode_length_delimiter(rest).map_err(|error| wrong(&error.to_string()))?;
        let head = prost::length_delimiter_len(length);
        let end = head.checked_add(length).filter(|end| *end <= rest.len());
        let end =
            end.ok_or_else(|| wrong(&format!("a message of {length} B is longer than the file")))?;
        let message = &rest[head..end];
        rest = &rest[end..];
        // The first message is about the whole file.
        if std::mem::take(&mut first) {
            continue;
        }
        let node = RawNode::decode(message).map_err(|error| wrong(&error.to_string()))?;
        let number = |raw: &RawAttribute| Some((raw.name.clone(), raw.value.as_ref()?.number()?));
        found.push(Plain {
            id: node.id,
            name: node.name,
            kind: i64::from(node.kind),
            data: node.data_deps,
            control: node.ctrl_deps,
            time: Span::from_micros(node.duration_micros),
            numbers: node.attr.iter().filter_map(number).collect(),
        });
    }
    Ok(found)
}

/// The JSON form: a list of nodes under `workload_graph`, whose names of fields are written in several ways.
fn from_json(bytes: &[u8]) -> Result<Vec<Plain>, String> {
    let whole: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let list = ["workload_graph", "nodes"].iter().find_map(|name| whole.get(name)?.as_array());
    let list = list.ok_or("there is neither `workload_graph` nor `nodes`")?;
    let plain = |(place, node): (usize, &serde_json::Value)| {
        let fields = node.as_object().ok_or(format!("node {place} is no object"))?;
        let known = |field: &str| field.to_lowercase().replace('_', "");
        let get =
            |name: &str| fields.iter().find(|(field, _)| known(field) == name).map(|(_, v)| v);
        let list = |name: &str| match get(name) {
            Some(serde_json::Value::Array(items)) => {
                items.iter().filter_map(serde_json::Value::as_u64).collect()
            }
            Some(one) => one.as_u64().into_iter().collect(),
            None => Vec::new(),
        };
        let number = |name: &str| get(name).and_then(serde_json::Value::as_u64);
        let numbers = fields.iter().filter_map(|(name, value)| {
            let bool = value.as_bool().map(u64::from);
            Some((name.clone(), value.as_u64().or(bool)?))
        });
        let time = number("durationmicros").or(number("runtime")).unwrap_or(0);
        Ok(Plain {
            id: number("id").ok_or(format!("node {place} has no `id`"))?,
            name: get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned(),
            kind: number("nodetype").or(number("type")).map_or(1, |kind| kind as i64),
            data: list("datadeps"),
            control: list("ctrldeps"),
            time: Span::from_micros(time),
            numbers: numbers.collect(),
        })
    };
    list.iter().enumerate().map(plain).collect()
}

/// Kinds of collectives by their numbers in traces.
const COLLECTIVES: [Kind; 10] = [
    Kind::AllReduce,
    Kind::Reduce,
    Kind::AllGather,
    Kind::Gather,
    Kind::Scatter,
    Kind::Broadcast,
    Kind::AllToAll,
    Kind::ReduceScatter,
    Kind::ReduceScatter,
    Kind::Barrier,
];

fn nodes(plain: &[Plain], ranks: u32) -> Result<Vec<Node>, String> {
    let both = nodes_after(plain, ranks, |node| [&node.data[..], &node.control[..]].concat())?;
    match stuck(&both) {
        None => Ok(both),
        Some(_) => nodes_after(plain, ranks, |node| node.data.clone()),
    }
}

fn nodes_after(
    plain: &[Plain],
    ranks: u32,
    before: impl Fn(&Plain) -> Vec<u64>,
) -> Result<Vec<Node>, String> {
    let mut place_of = BTreeMap::new();
    for (place, node) in plain.iter().enumerate() {
        if place_of.insert(node.id, place as u32).is_some() {
            return Err(format!("two nodes have the id {}", node.id));
        }
    }
    let members: Arc<[u32]> = (0..ranks).collect();
    let node = |node: &Plain| {
        let get = |name: &str| node.numbers.get(name).copied();
        let need = |name: &str| {
            get(name).ok_or_else(|| format!("node {} ({}) has no `{name}`", node.id, node.name))
        };
        // What a trace depends on outside of itself, like its process, is there from the start.
        let ids = before(node).into_iter();
        let mut after: Vec<u32> = ids.filter_map(|id| place_of.get(&id).copied()).collect();
        after.sort_unstable();
        after.dedup();
        let host = get("is_cpu_op") == Some(1);
        let compute = || Action::Compute { time: node.time, stream: u8::from(host) };
        let action = match node.kind {
            2..=4 => compute(),
            5 => Action::Send {
                to: need("comm_dst")? as u32,
                bytes: need("comm_size")?,
                tag: get("comm_tag").unwrap_or(0),
            },
            6 => Action::Receive {
                from: need("comm_src")? as u32,
                tag: get("comm_tag").unwrap_or(0),
            },
            7 => match (get("comm_type"), get("comm_size").filter(|bytes| *bytes > 0)) {
                (Some(kind), Some(bytes)) => collective(node, kind, bytes, &members)?,
                // Recorded on the host, or without its size.
                _ => compute(),
            },
            _ => Action::Join,
        };
        Ok(Node::new(action, after))
    };
    plain.iter().map(node).collect()
}

fn collective(node: &Plain, kind: u64, bytes: u64, members: &Arc<[u32]>) -> Result<Action, String> {
    let found = COLLECTIVES.get(kind as usize).copied();
    let kind = found.ok_or_else(|| {
        format!("node {} ({}): `comm_type` is {kind}; expected 0 to 9", node.id, node.name)
    })?;
    // Traces count what a rank puts in, nccl-tests what comes out.
    let bytes = match kind {
        Kind::AllGather | Kind::Gather => bytes * members.len() as u64,
        _ => bytes,
    };
    let root = node.numbers.get("root").copied().unwrap_or(0) as u32;
    Ok(Action::Collective {
        kind,
        bytes,
        members: Arc::clone(members),
        root,
        name: "".into(),
        matrix: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(nodes: &[RawNode]) -> Vec<u8> {
        let mut bytes = vec![0];
        nodes.iter().for_each(|node| node.encode_length_delimited(&mut bytes).unwrap());
        bytes
    }

    fn attribute(name: &str, value: Value) -> RawAttribute {
        RawAttribute { name: name.to_owned(), value: Some(value) }
    }

    /// Computing, a message and a collective, in both forms; what is outside of the trace does not hold it up.
    #[test]
    fn both_forms_are_read() {
        let compute = RawNode {
            id: 7,
            kind: 4,
            duration_micros: 5,
            ctrl_deps: vec![99],
            ..RawNode::default()
        };
        let send = RawNode {
            id: 8,
            kind: 5,
            data_deps: vec![7],
            attr: vec![
                attribute("comm_dst", Value::Int32(1)),
                attribute("comm_size", Value::Uint64(1 << 20)),
                attribute("comm_tag", Value::Uint32(3)),
            ],
            ..RawNode::default()
        };
        let gather = RawNode {
            id: 9,
            kind: 7,
            data_deps: vec![8, 7],
            attr: vec![
                attribute("comm_type", Value::Int64(2)),
                attribute("comm_size", Value::Int64(100)),
            ],
            ..RawNode::default()
        };
        let found = parse(&encode(&[compute, send, gather]), 4).unwrap();
        let json = br#"{"workload_graph": [
            {"Id": 7, "NodeType": 4, "runtime": 5, "ctrlDeps": 99},
            {"Id": 8, "NodeType": 5, "data_deps": [7], "comm_dst": 1, "comm_size": 1048576, "comm_tag": 3},
            {"Id": 9, "NodeType": 7, "data_deps": [8, 7], "comm_type": 2, "comm_size": 100}]}"#;
        assert_eq!(parse(json, 4).unwrap(), found);
        assert_eq!(found[0].action, Action::Compute { time: Span::from_micros(5), stream: 0 });
        assert_eq!(found[1], Node::new(Action::Send { to: 1, bytes: 1 << 20, tag: 3 }, vec![0]));
        let Action::Collective { kind, bytes, .. } = &found[2].action else { panic!("collective") };
        assert_eq!((*kind, *bytes, &found[2].after[..]), (Kind::AllGather, 400, &[0, 1][..]));
    }

    /// A file that is cut off, a node without what it needs, and a number twice are said.
    #[test]
    fn mistakes_are_said() {
        let node = RawNode { id: 1, kind: 5, name: "x".into(), ..RawNode::default() };
        let bytes = encode(std::slice::from_ref(&node));
        assert_eq!(parse(&bytes, 2).unwrap_err(), "node 1 (x) has no `comm_dst`");
        let cut = parse(&bytes[..bytes.len() - 1], 2).unwrap_err();
        assert!(cut.starts_with("byte 1: a message of"), "{cut}");
        let twice = RawNode { kind: 4, ..node };
        let error = parse(&encode(&[twice.clone(), twice]), 2).unwrap_err();
        assert_eq!(error, "two nodes have the id 1");
        assert!(parse(b"{}", 2).unwrap_err().contains("neither `workload_graph`"));
    }
}
