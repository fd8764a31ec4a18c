//! What a conflict is, and what each policy makes of it. Pure: ordered mode asks, and does what is said.

use std::fmt;

/// The closed list of conflicts (`src/backend/replication/logical/conflict.c` has the same words).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The row that should be inserted is there, or another one holds a unique value of it.
    InsertExists,
    /// The row that should be updated is not there.
    UpdateMissing,
    /// The row that should be deleted is not there.
    DeleteMissing,
    /// Another row holds a unique value that the update would set.
    UpdateExists,
    /// Several other rows hold unique values of the new row.
    MultipleUnique,
    /// Not a conflict of rows: the destination refuses the value (constraint, type, trigger ...).
    Rejected,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::InsertExists => "insert_exists",
            Kind::UpdateMissing => "update_missing",
            Kind::DeleteMissing => "delete_missing",
            Kind::UpdateExists => "update_exists",
            Kind::MultipleUnique => "multiple_unique_conflicts",
            Kind::Rejected => "rejected",
        })
    }
}

/// What the user wants done about conflicts of a table (`[apply] conflict`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Stop the task.
    Error,
    /// The destination's rows win.
    Ignore,
    /// The source's rows win.
    Overwrite,
}

/// What is done about one conflict, and recorded with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The task stops; the transaction is rolled back.
    Stopped,
    /// The destination stays as it is.
    Kept,
    /// The rows in the way go, the source's row comes.
    Overwritten,
    /// The update's row is not there and comes as an insert.
    Inserted,
    /// The row is not there, which is what the source wants.
    AlreadyGone,
    /// The row is not there, and the stream does not hold all of it: nothing can be done here, the row must be copied.
    Incomplete,
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resolution::Stopped => "stopped",
            Resolution::Kept => "kept",
            Resolution::Overwritten => "overwritten",
            Resolution::Inserted => "inserted",
            Resolution::AlreadyGone => "already_gone",
            Resolution::Incomplete => "incomplete",
        })
    }
}

/// Decides. `complete` says whether the stream holds every cell of the new row. What the destination rejects outright is
/// never passed over: no policy can make it fit.
pub fn resolve(kind: Kind, policy: Policy, complete: bool) -> Resolution {
    match (kind, policy) {
        (Kind::Rejected, _) | (_, Policy::Error) => Resolution::Stopped,
        (Kind::DeleteMissing, Policy::Ignore | Policy::Overwrite) => Resolution::AlreadyGone,
        (
            Kind::InsertExists | Kind::UpdateMissing | Kind::UpdateExists | Kind::MultipleUnique,
            Policy::Ignore,
        ) => Resolution::Kept,
        (Kind::UpdateMissing, Policy::Overwrite) if complete => Resolution::Inserted,
        (Kind::UpdateMissing, Policy::Overwrite) => Resolution::Incomplete,
        (Kind::InsertExists | Kind::UpdateExists | Kind::MultipleUnique, Policy::Overwrite) => {
            Resolution::Overwritten
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 6] = [
        Kind::InsertExists,
        Kind::UpdateMissing,
        Kind::DeleteMissing,
        Kind::UpdateExists,
        Kind::MultipleUnique,
        Kind::Rejected,
    ];

    #[test]
    fn policy_error_always_stops() {
        for kind in KINDS {
            assert_eq!(resolve(kind, Policy::Error, true), Resolution::Stopped, "{kind}");
        }
    }

    #[test]
    fn policy_ignore_changes_nothing_at_the_destination() {
        for kind in [Kind::InsertExists, Kind::UpdateMissing, Kind::UpdateExists, Kind::MultipleUnique] {
            assert_eq!(resolve(kind, Policy::Ignore, true), Resolution::Kept, "{kind}");
        }
        assert_eq!(resolve(Kind::DeleteMissing, Policy::Ignore, true), Resolution::AlreadyGone);
    }

    #[test]
    fn policy_overwrite_brings_the_sources_row_if_it_has_all_of_it() {
        for kind in [Kind::InsertExists, Kind::UpdateExists, Kind::MultipleUnique] {
            assert_eq!(resolve(kind, Policy::Overwrite, true), Resolution::Overwritten, "{kind}");
        }
        assert_eq!(resolve(Kind::UpdateMissing, Policy::Overwrite, true), Resolution::Inserted);
        assert_eq!(resolve(Kind::UpdateMissing, Policy::Overwrite, false), Resolution::Incomplete);
        assert_eq!(resolve(Kind::DeleteMissing, Policy::Overwrite, true), Resolution::AlreadyGone);
    }

    #[test]
    fn what_cannot_fit_stops_under_every_policy() {
        for policy in [Policy::Error, Policy::Ignore, Policy::Overwrite] {
            assert_eq!(resolve(Kind::Rejected, policy, true), Resolution::Stopped);
        }
    }
}
