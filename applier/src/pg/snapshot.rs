//! `pg_snapshot`: which transactions a reader saw (rule 23).
//! <https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT>

use std::fmt;
use std::str::FromStr;

/// What `pg_current_snapshot()` says; the same on 13 to 18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// In progress between the two, in ascending order.
    in_progress: Vec<u64>,
}

impl Snapshot {
    /// Whether the rows of a committed top-level transaction, by its 64-bit xid, are visible to the snapshot.
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmin || (xid < self.xmax && self.in_progress.binary_search(&xid).is_err())
    }
}

/// Text that is not `xmin:xmax:xip,...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotASnapshot(String);

impl fmt::Display for NotASnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a pg_snapshot such as 10:20:10,14", self.0)
    }
}

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let wrong = || NotASnapshot(text.to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let mut fields = text.split(':');
        let (Some(xmin), Some(xmax), Some(list), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(wrong());
        };
        let mut in_progress =
            list.split(',').filter(|one| !one.is_empty()).map(number).collect::<Result<Vec<_>, _>>()?;
        in_progress.sort_unstable();
        Ok(Self { xmin: number(xmin)?, xmax: number(xmax)?, in_progress })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.in_progress.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, list.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_23_what_a_snapshot_sees() {
        let snapshot: Snapshot = "10:20:10,14".parse().unwrap();
        assert_eq!(
            [9, 10, 11, 14, 19, 20].map(|xid| snapshot.sees(xid)),
            [true, false, true, false, true, false]
        );
        assert_eq!(snapshot.to_string(), "10:20:10,14");
        let empty: Snapshot = "7:7:".parse().unwrap();
        assert!(empty.sees(6) && !empty.sees(7));
        for wrong in ["", "1:2", "1:2:x", "1:2:3:4"] {
            assert!(wrong.parse::<Snapshot>().is_err(), "{wrong}");
        }
    }
}
