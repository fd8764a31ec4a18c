//! What can be wrong with bytes or options that came from the other side.

use std::fmt;

/// Why bytes are not a record, or a text is not an option's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The bytes end before the record does.
    Truncated,
    /// The record ends before its bytes do; the number of bytes left over.
    LeftOver(usize),
    /// A tag that this version does not know, and what it should have been the tag of.
    UnknownTag(&'static str, u8),
    /// A name that is not UTF-8.
    NotUtf8,
    /// A header that does not begin with the magic word.
    NotWalferry,
    /// A cell's length is neither a length nor one of the marks.
    BadCellLength(i32),
    /// An option's value that does not follow its grammar; what was seen.
    BadOption(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Truncated => write!(f, "a change record is cut short"),
            Error::LeftOver(n) => write!(f, "a change record has {n} bytes too many"),
            Error::UnknownTag(what, tag) => write!(f, "unknown {what} 0x{tag:02x} in a change record"),
            Error::NotUtf8 => write!(f, "a name in a change record is not UTF-8"),
            Error::NotWalferry => write!(f, "the stream does not begin with a walferry header"),
            Error::BadCellLength(n) => write!(f, "a cell in a change record has the length {n}"),
            Error::BadOption(seen) => f.write_str(seen),
        }
    }
}

impl std::error::Error for Error {}
