//! walferry.

mod error;
mod pg;

fn main() {}
