//! walferry.

mod cli;
mod config;
mod error;
mod pg;

fn main() {}
