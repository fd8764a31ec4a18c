//! Scenarios: the built binary between two real clusters. Each file is a theme; tests that prove a rule of
//! the data path carry its number. They run under `lab run -- cargo test`, which starts the clusters.

mod lab;
