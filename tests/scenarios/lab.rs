//! The laboratory itself.

use walferry_tests::{Cluster, Stop};

#[test]
fn a_cluster_starts_restarts_and_goes() {
    let mut cluster = Cluster::start("");
    let folder = cluster.folder().to_owned();
    cluster.session("postgres").execute("CREATE TABLE t AS SELECT 1 AS a");
    cluster.restart(Stop::Crash);
    assert_eq!(cluster.session("postgres").value("SELECT a FROM t"), "1");
    drop(cluster);
    assert!(!folder.exists());
}
