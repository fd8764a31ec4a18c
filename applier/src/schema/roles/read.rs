//! The roles of a server, from its catalogs: <https://www.postgresql.org/docs/current/catalog-pg-authid.html>.

use std::collections::{BTreeSet, HashMap};

use secrecy::SecretString;
use tokio_postgres::{Client, Row};

use super::{Power, Role, Setting, Which};
use crate::error::Result;
use crate::pg::client_error;

/// `BOOTSTRAP_SUPERUSERID` of pg_authid.dat is 10.
const ROLES: &str = "
WITH RECURSIVE reach(role, oid) AS (
  SELECT oid, oid FROM pg_catalog.pg_roles
  UNION SELECT r.role, m.roleid FROM reach r JOIN pg_catalog.pg_auth_members m ON m.member = r.oid),
concerned(oid) AS (
  SELECT refobjid FROM pg_catalog.pg_shdepend
  WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
    AND (dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
         OR classid = 'pg_catalog.pg_database'::pg_catalog.regclass
            AND objid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  UNION SELECT s.setrole FROM pg_catalog.pg_db_role_setting s
  WHERE s.setrole <> 0 AND s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  UNION SELECT m.member FROM concerned c JOIN pg_catalog.pg_auth_members m ON m.roleid = c.oid)
SELECT r.oid, r.rolname::text, r.oid = 10 OR r.rolname ~ '^pg_' AS built_in,
       ARRAY[r.rolsuper, r.rolreplication, r.rolbypassrls, r.rolcreaterole] AS own,
       (SELECT ARRAY[bool_or(o.rolsuper), bool_or(o.rolreplication), bool_or(o.rolbypassrls), bool_or(o.rolcreaterole)]
        FROM reach h JOIN pg_catalog.pg_roles o ON o.oid = h.oid WHERE h.role = r.oid) AS powers,
       ARRAY(SELECT o.rolname::text FROM reach h JOIN pg_catalog.pg_roles o ON o.oid = h.oid
             WHERE h.role = r.oid AND o.oid <> r.oid AND o.rolname ~ '^pg_') AS predefined,
       EXISTS (SELECT FROM pg_catalog.pg_shdepend d WHERE d.deptype = 'o' AND d.refobjid = r.oid
               AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
               AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())) AS owns,
       r.rolcanlogin, r.rolinherit, r.rolcreatedb, r.rolconnlimit, r.rolvaliduntil::text
FROM pg_catalog.pg_roles r
WHERE $1 OR r.oid IN (SELECT oid FROM concerned)
   OR r.oid IN (SELECT h.oid FROM reach h JOIN concerned c ON c.oid = h.role)
ORDER BY r.rolname";

const MAY_READ_HASHES: &str =
    "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')";

const HASHES: &str = "SELECT oid, rolpassword FROM pg_catalog.pg_authid WHERE rolpassword IS NOT NULL";

const SETTINGS: &str = "
SELECT s.setrole, s.setdatabase <> 0, pg_catalog.unnest(s.setconfig)
FROM pg_catalog.pg_db_role_setting s
WHERE s.setrole <> 0 AND (s.setdatabase = 0 OR s.setdatabase =
      (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
ORDER BY 1, 2, 3";

/// The roles of a server, the built-in ones included, in the order of their names.
///
/// # Errors
/// What the server says.
pub async fn read(client: &Client, which: Which) -> Result<Vec<Role>> {
    let rows = client.query(ROLES, &[&(which == Which::All)]).await.map_err(client_error)?;
    let readable: bool = client.query_one(MAY_READ_HASHES, &[]).await.map_err(client_error)?.get(0);
    let mut hashes: HashMap<u32, SecretString> = HashMap::new();
    if readable {
        let rows = client.query(HASHES, &[]).await.map_err(client_error)?;
        hashes.extend(rows.iter().map(|row| (row.get(0), SecretString::from(row.get::<_, String>(1)))));
    }
    let mut settings: HashMap<u32, Vec<Setting>> = HashMap::new();
    for row in client.query(SETTINGS, &[]).await.map_err(client_error)? {
        settings.entry(row.get(0)).or_default().extend(setting(row.get(1), row.get(2)));
    }
    let role = |row: &Row| -> Role {
        let oid = row.get(0);
        let (password, settings) = (hashes.remove(&oid), settings.remove(&oid).unwrap_or_default());
        Role { password, settings, ..role(row, readable) }
    };
    Ok(rows.iter().map(role).collect())
}

fn role(row: &Row, password_readable: bool) -> Role {
    Role {
        name: row.get(1),
        built_in: row.get(2),
        own: powers(row.get(3)),
        powers: powers(row.get(4)),
        predefined: row.get::<_, Vec<String>>(5).into_iter().collect(),
        owns: row.get(6),
        login: row.get(7),
        inherit: row.get(8),
        create_db: row.get(9),
        connection_limit: row.get(10),
        valid_until: row.get(11),
        password: None,
        password_readable,
        settings: Vec::new(),
    }
}

fn powers(flags: Vec<bool>) -> BTreeSet<Power> {
    Power::ALL.into_iter().zip(flags).filter(|(_, has)| *has).map(|(power, _)| power).collect()
}

fn setting(in_database: bool, text: String) -> Option<Setting> {
    let (name, value) = text.split_once('=')?;
    Some(Setting { in_database, name: name.to_owned(), value: value.to_owned() })
}

/// The roles that our role can give things to, and whose things it can then still write into and alter.
pub(super) async fn reachable(client: &Client) -> Result<BTreeSet<String>> {
    // 16 told SET from MEMBER; before, a member may always SET ROLE.
    const REACHABLE: &str = "
SELECT rolname::text FROM pg_catalog.pg_roles
WHERE pg_catalog.pg_has_role(oid, 'USAGE')
  AND pg_catalog.pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)";
    let rows = client.query(REACHABLE, &[]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether memberships have the options INHERIT and SET, as they do since 16.
pub(super) async fn has_membership_options(client: &Client) -> Result<bool> {
    let sql = "SELECT current_setting('server_version_num')::int >= 160000";
    Ok(client.query_one(sql, &[]).await.map_err(client_error)?.get(0))
}

/// Our own role's name.
pub(super) async fn current_user(client: &Client) -> Result<String> {
    let row = client.query_one("SELECT current_user::text", &[]).await.map_err(client_error)?;
    Ok(row.get(0))
}
