//! Lists of which a host has a few and a fabric many.

/// Up to so many items a list has no room to spare.
const FEW: usize = 4;

/// Adds an item at the end. Most hosts have one or two contexts, and what the standard's first four places would leave
/// empty adds up; a list with more items grows as usual.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() && list.len() < FEW {
        list.reserve_exact(1);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    /// A short list has no room to spare, and a long one grows as usual.
    #[test]
    fn lists_grow_frugally() {
        let mut list = Vec::new();
        for item in 0..4u8 {
            super::push(&mut list, item);
            assert_eq!(list.capacity(), list.len());
        }
        (4..100).for_each(|item| super::push(&mut list, item));
        assert!(list.capacity() >= 100);
        assert!((0..100).eq(list));
    }
}
