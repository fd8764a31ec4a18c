//! Which versions of the format both sides know. The applier asks for a range (option `versions`), the plugin
//! answers with the highest that both know, in the header record, or refuses.

use crate::Error;

/// The versions that this build reads and writes.
pub const KNOWN: Versions = Versions { min: 2, max: 2 };

/// A range of versions of the format, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl Versions {
    /// Reads `min-max`, or one number for both.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        match (min.trim().parse(), max.trim().parse()) {
            (Ok(min), Ok(max)) if min <= max => Ok(Self { min, max }),
            _ => Err(Error::BadOption(format!("versions must be like \"1-1\", not \"{text}\""))),
        }
    }

    /// The highest version in both ranges.
    pub fn agree(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min && highest >= other.min).then_some(highest)
    }
}

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_17_the_highest_common_version_wins_or_none() {
        let of = |text| Versions::parse(text).expect(text);
        assert_eq!(of("1-3").agree(of("2-5")), Some(3));
        assert_eq!(of("4").agree(of("2-5")), Some(4));
        assert_eq!(of("1-1").agree(of("2-5")), None);
        assert_eq!(of("6-9").agree(of("2-5")), None);
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        for text in ["", "x", "2-1", "1-", "-1", "70000"] {
            assert!(Versions::parse(text).is_err(), "{text}");
        }
    }
}
