//! TLS as libpq has it, and SCRAM.

use std::path::{Path, PathBuf};
use std::process::Command;

use walferry_tests::{Cluster, Stop, Task};

/// A certificate authority, a server certificate for `localhost` and 127.0.0.1, and a client's for `postgres`.
fn make_certificates(folder: &Path) {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=lab-ca
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext -out server.pem
        openssl req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=postgres
        printf 'extendedKeyUsage=clientAuth' > client.ext
        openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile client.ext -out client.pem
        openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other-ca
        chmod 600 *.key";
    let done = Command::new("sh").args(["-euc", script]).current_dir(folder).output().expect("sh");
    assert!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
    if rustix::process::geteuid().is_root() {
        let owned =
            Command::new("chown").arg("postgres").arg(folder.join("server.key")).status().expect("chown");
        assert!(owned.success());
    }
}

/// A source that takes encrypted sessions with SCRAM passwords only, and certificates for `/cert` roles.
fn source() -> (Cluster, PathBuf) {
    let mut cluster = Cluster::start("password_encryption = 'scram-sha-256'");
    let folder = cluster.folder().to_owned();
    make_certificates(&folder);
    cluster.configure(&format!(
        "ssl = on\nssl_cert_file = '{0}/server.pem'\nssl_key_file = '{0}/server.key'\nssl_ca_file = '{0}/ca.pem'",
        folder.display()
    ));
    cluster.restart(Stop::Fast);
    let admin = cluster.session("postgres");
    admin.execute("CREATE ROLE secure SUPERUSER REPLICATION LOGIN PASSWORD 'pass word:@/?'; CREATE ROLE certified SUPERUSER REPLICATION LOGIN");
    cluster.set_hba(
        "hostnossl all secure all reject\nhostssl all,replication secure all scram-sha-256\nhostssl all,replication certified all cert map=lab\nhost all postgres 127.0.0.1/32 trust\n",
    );
    std::fs::write(cluster.data().join("pg_ident.conf"), "lab postgres certified\n").expect("pg_ident.conf");
    admin.execute("SELECT pg_reload_conf()");
    (cluster, folder)
}

#[test]
fn tls_modes_and_scram() {
    let (cluster, folder) = source();
    let mut task =
        Task::build("tls-modes").source(&cluster).schema("CREATE TABLE t (id integer PRIMARY KEY)").create();
    let (port, name, dir) = (cluster.port(), task.database.clone(), folder.display().to_string());
    let url = |host: &str, rest: &str| {
        format!("postgresql://secure:pass%20word%3A%40%2F%3F@{host}:{port}/{name}?{rest}")
    };
    let good = [
        url("127.0.0.1", "sslmode=require"),
        url("localhost", &format!("sslmode=verify-full&sslrootcert={dir}/ca.pem")),
        url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={dir}/ca.pem")),
        url("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={dir}/ca.pem")),
        url("127.0.0.1", "sslmode=prefer"),
        format!(
            "postgresql://certified@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={dir}/ca.pem&sslcert={dir}/client.pem&sslkey={dir}/client.key"
        ),
    ];
    for (i, url) in good.iter().enumerate() {
        task.set("source.url", url.clone());
        task.source.execute(&format!("INSERT INTO t VALUES ({i})"));
        task.sync();
    }
    let bad = [
        (url("127.0.0.1", "sslmode=disable"), "pg_hba.conf"),
        (url("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={dir}/other.pem")), "certificate"),
        (url("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={dir}/missing.pem")), "missing.pem"),
        (format!("postgresql://secure:wrong@127.0.0.1:{port}/{name}?sslmode=require"), "password"),
    ];
    for (url, word) in bad {
        task.set("source.url", url);
        let ended = task.walferry(&["run", "--until", "now"]);
        assert!([1, 2, 3].contains(&ended.status), "status {}", ended.status);
        ended.expect_words(&[word]);
    }
}

#[test]
fn a_password_from_the_environment_file_or_pgpass() {
    let (cluster, folder) = source();
    let mut task = Task::build("tls-password")
        .source(&cluster)
        .schema("CREATE TABLE t (id integer PRIMARY KEY)")
        .create();
    let url = format!("postgresql://secure@127.0.0.1:{}/{}?sslmode=require", cluster.port(), task.database);
    task.set("source.url", url);
    let file = folder.join("password");
    std::fs::write(&file, "pass word:@/?\n").expect("write");
    Command::new("chmod").arg("600").arg(&file).status().expect("chmod");
    task.set("source.password_file", file.display().to_string());
    task.source.execute("INSERT INTO t VALUES (1)");
    task.sync();
}
