//! Bytes as a list of steps: a choice, a length of two bytes, and as many bytes, or what is left.

/// See the module.
pub(crate) struct Steps<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Steps<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (head, rest) = self.0.split_first_chunk::<3>()?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        self.0 = rest;
        Some((head[0], bytes))
    }
}

/// A step, as it is read.
pub(crate) fn step(choice: u8, bytes: &[u8]) -> Vec<u8> {
    [&[choice], &(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
