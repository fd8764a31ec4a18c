//! Change records.
