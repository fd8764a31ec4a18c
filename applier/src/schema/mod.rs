//! Definitions: what pg_dump says of the source, made at the destination.
