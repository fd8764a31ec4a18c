//! Fragments: how records lie in replication messages.
//!
//! A message is a sequence of whole fragments. A fragment is a big-endian `u32` (its length, and [`MORE`] when the
//! record goes on in the next fragment), then its bytes. A record larger than one message (PostgreSQL limits a
//! message to 1 GB) is simply several fragments.

use crate::Error;

/// Bytes of a fragment's head.
pub const HEAD: usize = 4;
/// Set in the head of every fragment of a record but the last.
pub const MORE: u32 = 0x8000_0000;

/// The head of a fragment of `len` bytes; `more` when the record does not end with it.
pub fn head(len: usize, more: bool) -> [u8; HEAD] {
    let len = len as u32;
    if more { (len | MORE).to_be_bytes() } else { len.to_be_bytes() }
}

/// One fragment of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The record goes on in the next fragment (maybe of the next message).
    pub more: bool,
    /// A part of a record, or the whole of it.
    pub bytes: &'a [u8],
}

/// Takes the first fragment off a message; `None` at its end.
pub fn next<'a>(message: &mut &'a [u8]) -> Result<Option<Fragment<'a>>, Error> {
    if message.is_empty() {
        return Ok(None);
    }
    let (head, rest) = message.split_first_chunk::<HEAD>().ok_or(Error::Truncated)?;
    let head = u32::from_be_bytes(*head);
    let len = (head & !MORE) as usize;
    if rest.len() < len {
        return Err(Error::Truncated);
    }
    let (bytes, rest) = rest.split_at(len);
    *message = rest;
    Ok(Some(Fragment { more: head & MORE != 0, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_17_a_record_may_span_fragments() {
        let mut message = Vec::new();
        message.extend(head(2, true));
        message.extend(b"ab");
        message.extend(head(1, false));
        message.extend(b"c");
        let mut rest = message.as_slice();
        assert_eq!(next(&mut rest), Ok(Some(Fragment { more: true, bytes: b"ab" })));
        assert_eq!(next(&mut rest), Ok(Some(Fragment { more: false, bytes: b"c" })));
        assert_eq!(next(&mut rest), Ok(None));
    }

    #[test]
    fn every_cut_inside_a_fragment_is_an_error() {
        let mut message = head(3, false).to_vec();
        message.extend(b"abc");
        for cut in 1..message.len() {
            assert_eq!(next(&mut &message[..cut]), Err(Error::Truncated), "cut at {cut}");
        }
    }
}
