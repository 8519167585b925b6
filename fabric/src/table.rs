//! Routes as a table: for each destination of a switch a set of ports.
//!
//! Most fabrics need none: rules of a few words say where to go. Tables stand beside the rule of a switch. One that
//! belongs to the graph holds what no rule can say; one that a fault brings about (a *detour*) holds exceptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::HostId;

/// In [`Table::set_of`]: the rule holds.
const BY_RULE: u32 = u32::MAX;

/// One switch's ports by destination, where they are not those of its rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// The destination that each host belongs to.
    destination_of: Arc<[u32]>,
    /// For each destination its set, or [`BY_RULE`].
    set_of: Vec<u32>,
    /// Where the ports of each set begin; one more entry than sets.
    first: Vec<u32>,
    /// Ports of all sets.
    ports: Vec<u16>,
}

impl Table {
    /// The ports towards `dst`, none if there is no way; `None` where the rule holds.
    #[inline]
    pub fn towards(&self, dst: HostId) -> Option<&[u16]> {
        self.towards_destination(self.destination_of[dst.index()])
    }

    /// The same towards a destination by its number.
    #[inline]
    pub fn towards_destination(&self, destination: u32) -> Option<&[u16]> {
        let set = self.set_of[destination as usize];
        if set == BY_RULE {
            return None;
        }
        let [first, end] = [set, set + 1].map(|set| self.first[set as usize] as usize);
        Some(&self.ports[first..end])
    }

    /// The destination that a host belongs to.
    #[inline]
    pub fn destination_of(&self, host: HostId) -> u32 {
        self.destination_of[host.index()]
    }
}

/// Fills a [`Table`]; equal sets are kept once.
pub struct TableBuilder {
    table: Table,
    known: BTreeMap<Vec<u16>, u32>,
}

impl TableBuilder {
    /// A table in which the rule holds for every destination. `destination_of` has the destination of each host.
    pub fn new(destination_of: &Arc<[u32]>, destinations: usize) -> TableBuilder {
        let table = Table {
            destination_of: Arc::clone(destination_of),
            set_of: vec![BY_RULE; destinations],
            first: vec![0],
            ports: Vec::new(),
        };
        TableBuilder { table, known: BTreeMap::new() }
    }

    /// From now on `ports` lead towards `destination`; none is a destination without a way.
    pub fn set(&mut self, destination: u32, ports: &[u16]) {
        let set = match self.known.get(ports) {
            Some(set) => *set,
            None => {
                let set = self.table.first.len() as u32 - 1;
                self.table.ports.extend(ports);
                self.table.first.push(self.table.ports.len() as u32);
                self.known.insert(ports.to_vec(), set);
                set
            }
        };
        self.table.set_of[destination as usize] = set;
    }

    /// The table.
    pub fn finish(self) -> Table {
        self.table
    }
}
