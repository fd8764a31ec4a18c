//! Positions in the write-ahead log. Everything that compares or prints an LSN comes in here.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log, printed as PostgreSQL's `pg_lsn` prints it (`16/B374D848`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The position before any other, PostgreSQL's InvalidXLogRecPtr.
    pub const ZERO: Lsn = Lsn(0);
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is not an LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an LSN; write it as PostgreSQL does, for example 16/B374D848")]
pub struct NotAnLsn(String);

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        text.split_once('/')
            .and_then(|(high, low)| Some((half(high)? << 32) | half(low)?))
            .map(Lsn)
            .ok_or_else(|| NotAnLsn(text.to_owned()))
    }
}

/// One to eight hexadecimal digits and nothing else, as `pg_lsn_in` takes them.
fn half(digits: &str) -> Option<u64> {
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_like_pg_lsn() {
        assert_eq!(Lsn(0x16_B374_D848).to_string(), "16/B374D848");
        assert_eq!(Lsn::ZERO.to_string(), "0/0");
        assert_eq!("16/b374d848".parse(), Ok(Lsn(0x16_B374_D848)));
    }

    #[test]
    fn refuses_what_is_not_an_lsn() {
        for text in ["", "/", "0/", "/0", "1", "0/123456789", "+1/0", "0/ 1", "g/0", "0/0/0"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
    }

    #[test]
    fn is_a_string_in_json() {
        assert_eq!(serde_json::to_string(&Lsn(1 << 32)).unwrap(), "\"1/0\"");
        assert_eq!(serde_json::from_str::<Lsn>("\"1/0\"").unwrap(), Lsn(1 << 32));
    }

    proptest! {
        #[test]
        fn round_trip(position in any::<u64>()) {
            prop_assert_eq!(Lsn(position).to_string().parse(), Ok(Lsn(position)));
        }
    }
}
