//! walferry.
fn main() {}
