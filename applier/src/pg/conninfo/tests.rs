//! Connection strings as people write them.

use super::*;
use secrecy::ExposeSecret;

fn hosts_of(url: &str) -> Vec<String> {
    Conninfo::parse(url).unwrap().hosts.iter().map(Host::to_string).collect()
}

fn error_of(url: &str) -> String {
    Conninfo::parse(url).unwrap_err().to_string()
}

#[test]
fn uri_with_everything() {
    let url = "postgresql://fer%40ry:p%3aw@h1:5433,[fe80::1]:5434,h3:5435/sh%20op?sslmode=verify-full\
               &sslrootcert=/etc/ca.pem&target_session_attrs=read-write&connect_timeout=3&options=-c%20jit%3Doff";
    let info = Conninfo::parse(url).unwrap();
    assert_eq!((info.user.as_str(), info.dbname.as_str()), ("fer@ry", "sh op"));
    assert_eq!(info.password.as_ref().unwrap().expose_secret(), "p:w");
    assert_eq!(info.tls.mode, SslMode::VerifyFull);
    assert_eq!(info.tls.root, RootCert::File("/etc/ca.pem".into()));
    assert_eq!(info.target, Target::Primary);
    assert_eq!(info.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(info.options.as_deref(), Some("-c jit=off"));
    assert_eq!(hosts_of(url), ["h1:5433", "[fe80::1]:5434", "h3:5435"]);
}

#[test]
fn hosts_and_ports() {
    assert_eq!(hosts_of("postgresql://u@h/d"), ["h:5432"]);
    assert_eq!(hosts_of("postgresql://u@h:1,k/d"), ["h:1", "k:5432"]);
    assert_eq!(hosts_of("postgresql://u@/d?host=/tmp/pg&port=5439"), ["/tmp/pg/.s.PGSQL.5439"]);
    assert_eq!(hosts_of("postgres://u@%2Ftmp%2Fpg:5439/d"), ["/tmp/pg/.s.PGSQL.5439"]);
    assert_eq!(hosts_of("postgresql://u@/d"), ["/var/run/postgresql/.s.PGSQL.5432"]);
    assert_eq!(hosts_of("host=a,b port=7 user=u"), ["a:7", "b:7"]);
    assert!(error_of("host=a,b,c port=7,8 user=u").contains("2 ports for 3 hosts"));
}

#[test]
fn keyword_form() {
    let info = Conninfo::parse(r"host = h dbname='my db' user=u password='it\'s' sslmode = disable").unwrap();
    assert_eq!((info.dbname.as_str(), info.tls.mode), ("my db", SslMode::Disable));
    assert_eq!(info.password.as_ref().unwrap().expose_secret(), "it's");
    assert!(error_of("host=h user='u").contains("closing quote"));
    assert!(error_of("shop").contains("neither"));
}

#[test]
fn unknown_parameters_are_named_with_the_nearest() {
    let error = error_of("postgresql://u@h/d?sslmod=require");
    assert!(error.contains("\"sslmod\"") && error.ends_with("is sslmode"), "{error}");
    assert!(error_of("host=h user=u conect_timeout=3").ends_with("connect_timeout"));
}

#[test]
fn wrong_values_say_what_is_allowed() {
    assert!(error_of("postgresql://u@h/d?sslmode=on").contains("verify-full"));
    assert!(error_of("postgresql://u@h/d?target_session_attrs=master").contains("prefer-standby"));
    assert!(error_of("postgresql://u@h/d?connect_timeout=soon").contains("whole number"));
    assert!(error_of("postgresql://u@h/d%2").contains("%25"));
    assert!(error_of("postgresql://u@h/d?sslrootcert=system&sslmode=require").contains("verify-full"));
}

#[test]
fn the_password_is_never_shown() {
    let info = Conninfo::parse("postgresql://u:hunter2@h/d").unwrap();
    assert!(!format!("{info:?} {info}").contains("hunter2"));
    for url in
        ["postgresql://u:hunter2/x@h/d", "postgresql://u:hunter2@h:x/d", "host=h user=u password=hunter2 'q"]
    {
        assert!(!error_of(url).contains("hunter2"), "{url}");
    }
}

#[test]
fn a_password_from_elsewhere_wins() {
    let mut info = Conninfo::parse("postgresql://u:one@h/d").unwrap();
    info.set_password(SecretString::from("two"));
    assert_eq!(info.password(&info.hosts[0]).unwrap().unwrap().expose_secret(), "two");
}

#[test]
fn timeouts_and_keepalive() {
    let info = Conninfo::parse("host=h user=u").unwrap();
    assert_eq!(info.connect_timeout, Some(CONNECT_TIMEOUT));
    assert!(info.keepalive.is_some());
    let info = Conninfo::parse("host=h user=u connect_timeout=0 keepalives=0").unwrap();
    assert_eq!((info.connect_timeout, info.keepalive), (None, None));
}
