//! Lists of which a host has a few and a fabric many.

/// Adds an item at the end. Where there is no room, there is half as much again, at least one place: most hosts have
/// one or two contexts, and what the standard's first four would leave empty adds up.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    /// A short list has no room to spare, and a long one grows by its half.
    #[test]
    fn lists_grow_frugally() {
        let mut list = Vec::new();
        super::push(&mut list, 0u8);
        assert_eq!(list.capacity(), 1);
        (1..100).for_each(|item| super::push(&mut list, item));
        assert!(list.capacity() < 150);
        assert!((0..100).eq(list));
    }
}
