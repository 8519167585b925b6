//! How headers are declared: one table of fields, from which the view, the representation, their conversions
//! and the display come.
//!
//! A table is written as the specification prints it: each field with its first bit, counted from the first
//! bit on the wire, and its width. Values are in network order.

use thiserror::Error;

/// Why bytes are no such header or frame.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WireError {
    /// There are too few.
    #[error("{header} needs {needed} bytes, and there are {present}")]
    Short {
        /// What was expected.
        header: &'static str,
        /// Its length.
        needed: usize,
        /// Bytes there.
        present: usize,
    },
    /// A field has a value that is none of those known.
    #[error("{header} has the {field} {value}, which is not known")]
    Unknown {
        /// The header.
        header: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// What encapsulates is malformed.
    #[error("malformed {0} header")]
    Outer(&'static str),
}

/// Reads `width` bits, at most 64, from bit `first` on.
pub fn read(bytes: &[u8], first: usize, width: usize) -> u64 {
    let mut value = 0u64;
    let mut bit = first;
    let end = first + width;
    while bit < end {
        let take = (8 - bit % 8).min(end - bit);
        let shift = 8 - bit % 8 - take;
        let part = (u64::from(bytes[bit / 8]) >> shift) & ((1 << take) - 1);
        value = value << take | part;
        bit += take;
    }
    value
}

/// Writes the low `width` bits of `value` from bit `first` on.
pub fn write(bytes: &mut [u8], first: usize, width: usize, value: u64) {
    let (mut bit, mut left) = (first, width);
    while left > 0 {
        let take = (8 - bit % 8).min(left);
        let shift = 8 - bit % 8 - take;
        let mask = (((1u16 << take) - 1) << shift) as u8;
        let part = ((value >> (left - take)) as u8) << shift;
        let byte = &mut bytes[bit / 8];
        *byte = (*byte & !mask) | (part & mask);
        bit += take;
        left -= take;
    }
}

/// What a field can be.
pub trait Bits: Copy {
    /// The value of these bits.
    fn from_bits(bits: u64) -> Self;
    /// The bits of this value; those beyond the field's width are cut off.
    fn to_bits(self) -> u64;
}

macro_rules! bits {
    ($($kind:ty),*) => {$(
        impl Bits for $kind {
            fn from_bits(bits: u64) -> $kind {
                bits as $kind
            }
            fn to_bits(self) -> u64 {
                self as u64
            }
        }
    )*};
}

bits!(u8, u16, u32, u64, i16);

impl Bits for bool {
    fn from_bits(bits: u64) -> bool {
        bits != 0
    }
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
}

/// Declares a header: `Representation / View, "name", bytes { field / setter: type = first bit, width; … }`.
macro_rules! layout {
    (
        $(#[$doc:meta])*
        $repr:ident / $view:ident, $name:literal, $len:literal {
            $($(#[$field_doc:meta])* $field:ident / $setter:ident: $kind:ty = $first:literal, $width:literal;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $repr { $($(#[$field_doc])* pub $field: $kind,)* }

        #[doc = concat!("The bytes of a [`", stringify!($repr), "`].")]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $view<T>(T);

        impl<T: AsRef<[u8]>> $view<T> {
            /// The header at the front of `bytes`.
            ///
            /// # Errors
            /// When there are too few bytes.
            pub fn new_checked(bytes: T) -> Result<$view<T>, $crate::wire::WireError> {
                let present = bytes.as_ref().len();
                if present < $len {
                    let (header, needed) = ($name, $len);
                    return Err($crate::wire::WireError::Short { header, needed, present });
                }
                Ok($view(bytes))
            }

            $($(#[$field_doc])* pub fn $field(&self) -> $kind {
                let bits = $crate::wire::layout::read(self.0.as_ref(), $first, $width);
                $crate::wire::layout::Bits::from_bits(bits)
            })*
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>> $view<T> {
            $(#[doc = concat!("Sets `", stringify!($field), "`.")]
            pub fn $setter(&mut self, value: $kind) {
                let bits = $crate::wire::layout::Bits::to_bits(value);
                $crate::wire::layout::write(self.0.as_mut(), $first, $width, bits);
            })*
        }

        impl $repr {
            /// Bytes on the wire.
            pub const LEN: usize = $len;
            /// Every field: its name, first bit and width.
            pub const FIELDS: &'static [(&'static str, usize, usize)] =
                &[$((stringify!($field), $first, $width),)*];

            /// Reads the header at the front of `bytes`.
            ///
            /// # Errors
            /// When there are too few bytes.
            pub fn parse(bytes: &[u8]) -> Result<$repr, $crate::wire::WireError> {
                let view = $view::new_checked(bytes)?;
                Ok($repr { $($field: view.$field(),)* })
            }

            /// Writes the header to the front of `bytes`, reserved bits as zeros.
            ///
            /// # Panics
            /// If there are fewer than [`Self::LEN`].
            pub fn emit(&self, bytes: &mut [u8]) {
                bytes[..$len].fill(0);
                let mut view = $view(bytes);
                $(view.$setter(self.$field);)*
            }

            /// The header's bytes.
            pub fn to_bytes(&self) -> [u8; $len] {
                let mut bytes = [0; $len];
                self.emit(&mut bytes);
                bytes
            }
        }

        impl std::fmt::Display for $repr {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($name)?;
                $(write!(f, " {}={}", stringify!($field), self.$field)?;)*
                Ok(())
            }
        }
    };
}

pub(crate) use layout;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is written is read, and nothing else is touched.
        #[test]
        fn bits_are_read_as_written(
            before in any::<[u8; 16]>(), first in 0usize..64, width in 1usize..=64, value: u64,
        ) {
            let mut bytes = before;
            write(&mut bytes, first, width, value);
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            prop_assert_eq!(read(&bytes, first, width), value & mask);
            for bit in (0..128).filter(|bit| !(first..first + width).contains(bit)) {
                prop_assert_eq!(read(&bytes, bit, 1), read(&before, bit, 1));
            }
        }
    }
}
