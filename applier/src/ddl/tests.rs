//! Statements before and after.
