//! Definitions: what pg_dump says of the source, made at the destination.

pub mod hashed;
pub mod inventory;
pub mod rewrite;
pub mod roles;
