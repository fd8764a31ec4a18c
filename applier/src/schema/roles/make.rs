//! Makes the roles that are missing. Each in one transaction with its settings, so that a crash leaves no role half
//! made; what our role may not give is left out behind a savepoint.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::{
    LeftOut, Power, Report, Role, Setting, Which, by_name, differences, judge, password, read, unreachable,
};
use crate::error::{Error, Result};
use crate::pg::{client_error, quote};
use crate::schema::rewrite::Rewriter;

/// insufficient_privilege
const NO_RIGHT: &str = "42501";

/// Makes what is missing, and says what the names are good for. The client must be in no transaction. Schemas in
/// a role's `search_path` are mapped by the rewriter.
///
/// # Errors
/// A lost connection, and what the destination says to queries on its catalog; its refusals are reported.
pub async fn make(destination: &Client, source: &[Role], names: &Rewriter) -> Result<Report> {
    let known = by_name(read(destination, Which::All).await?);
    let mut report = Report::default();
    for role in source {
        match known.get(&role.name) {
            Some(there) => compare(role, there, &mut report),
            None if role.built_in => {
                let reason =
                    "the destination has no such role, and it is not made because it came with the server";
                report.left_out.push(LeftOut::new(&role.name, reason));
            }
            None => make_one(destination, role, names, &mut report).await?,
        }
    }
    become_able(destination, source, &mut report).await?;
    Ok(report)
}

fn compare(role: &Role, there: &Role, report: &mut Report) {
    judge(role, there, report);
    let differ = if role.built_in { Vec::new() } else { differences(role, there) };
    if !differ.is_empty() {
        let reason = format!("it exists and is left as it is, with another {}", differ.join(", "));
        report.left_out.push(LeftOut::new(&role.name, reason));
    }
}

async fn make_one(client: &Client, role: &Role, names: &Rewriter, report: &mut Report) -> Result<()> {
    run(client, "BEGIN").await?;
    let created = run(client, &create(role)).await;
    if let Err(error) = created {
        run(client, "ROLLBACK").await?;
        let helps =
            format!("ALTER ROLE {} CREATEROLE helps", quote::ident(&read::current_user(client).await?));
        return report_refusal(report, &role.name, "it was not made", error, &helps);
    }
    if let Some(hash) = &role.password {
        optional(client, role, "its password", password::set(client, &role.name, hash), report).await?;
    }
    for (what, sql) in further(role, names)? {
        optional(client, role, &what, run(client, &sql), report).await?;
    }
    run(client, "COMMIT").await?;
    report.grantees.insert(role.name.clone());
    report.left_out.extend(not_carried(role));
    Ok(())
}

/// Something that the role can be made without.
async fn optional(
    client: &Client,
    role: &Role,
    what: &str,
    work: impl Future<Output = Result<()>>,
    report: &mut Report,
) -> Result<()> {
    run(client, "SAVEPOINT optional").await?;
    if let Err(error) = work.await {
        run(client, "ROLLBACK TO SAVEPOINT optional").await?;
        report_refusal(report, &role.name, &format!("without {what}"), error, "a superuser can give it")?;
    }
    Ok(())
}

async fn run(client: &Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.map_err(client_error)
}

/// A refusal is reported; a lost connection goes up.
fn report_refusal(report: &mut Report, role: &str, what: &str, error: Error, helps: &str) -> Result<()> {
    if error.class().is_transient() {
        return Err(error);
    }
    let helps = if error.sqlstate() == Some(NO_RIGHT) { format!("; {helps}") } else { String::new() };
    report.left_out.push(LeftOut::new(role, format!("{what}: {error}{helps}")));
    Ok(())
}

/// CREATE ROLE with what every role with CREATEROLE may give.
fn create(role: &Role) -> String {
    let word = |has: bool, word: &str| if has { format!(" {word}") } else { format!(" NO{word}") };
    let mut sql = format!("CREATE ROLE {} WITH", quote::ident(&role.name));
    sql += &word(role.login, "LOGIN");
    sql += &word(role.inherit, "INHERIT");
    if role.connection_limit >= 0 {
        sql += &format!(" CONNECTION LIMIT {}", role.connection_limit);
    }
    if let Some(until) = &role.valid_until {
        sql += &format!(" VALID UNTIL {}", quote::literal(until));
    }
    sql
}

/// What a role gets on top, each with a name for people.
fn further(role: &Role, names: &Rewriter) -> Result<Vec<(String, String)>> {
    let name = quote::ident(&role.name);
    let create_role = role.own.contains(&Power::CreateRole);
    let attributes = [("CREATEDB", role.create_db), ("CREATEROLE", create_role)];
    let attributes = attributes.into_iter().filter(|(_, has)| *has);
    let mut all: Vec<_> =
        attributes.map(|(word, _)| (word.to_owned(), format!("ALTER ROLE {name} {word}"))).collect();
    for setting in &role.settings {
        let sql = names.rewrite(&set(&name, setting))?.sql;
        all.push((format!("its setting {}", setting.name), in_database(&sql, &name, setting)));
    }
    Ok(all)
}

/// The parameters whose values are lists of quoted names (`GUC_LIST_QUOTE` of guc_tables.c): each item is a
/// constant of its own.
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

fn set(role: &str, setting: &Setting) -> String {
    let list = LISTS.contains(&setting.name.to_ascii_lowercase().as_str());
    let items = if list { split(&setting.value) } else { vec![setting.value.clone()] };
    let items: Vec<_> = items.iter().map(|item| quote::literal(item)).collect();
    format!("ALTER ROLE {role} SET {} TO {}", quote::ident(&setting.name), items.join(", "))
}

/// The database is the destination's, whatever it is called: a DO block asks the server.
fn in_database(sql: &str, role: &str, setting: &Setting) -> String {
    let rest = sql.strip_prefix(&format!("ALTER ROLE {role} ")).filter(|_| setting.in_database);
    let Some(rest) = rest else { return sql.to_owned() };
    let (before, after) =
        (quote::literal(&format!("ALTER ROLE {role} IN DATABASE ")), quote::literal(&format!(" {rest}")));
    let body =
        format!("BEGIN EXECUTE {before} || pg_catalog.quote_ident(current_database()) || {after}; END");
    format!("DO {}", quote::literal(&body))
}

/// The items of a list of names, as `SplitIdentifierString` of varlena.c reads it.
fn split(list: &str) -> Vec<String> {
    let (mut items, mut item, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => item.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            ' ' if !quoted => {}
            _ => item.push(letter),
        }
    }
    items.push(item);
    items
}

fn not_carried(role: &Role) -> Vec<LeftOut> {
    let name = quote::ident(&role.name);
    let mut left: Vec<_> = [Power::Superuser, Power::Replication, Power::BypassRls]
        .into_iter()
        .filter(|power| role.own.contains(power))
        .map(|power| format!("{0} is not carried over; ALTER ROLE {name} {0} gives it", power.keyword()))
        .collect();
    if role.login && !role.password_readable {
        left.push(format!("it has no password, because our role at the source may not read pg_authid; \\password {name} sets one"));
    }
    left.into_iter().map(|reason| LeftOut::new(&role.name, reason)).collect()
}

/// Becomes a member of the roles that are to own things, where our role may: it needs their rights to fill and alter
/// what they own.
async fn become_able(client: &Client, source: &[Role], report: &mut Report) -> Result<()> {
    let mut reachable = read::reachable(client).await?;
    let own = read::current_user(client).await?;
    let options =
        if read::has_membership_options(client).await? { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    let usable =
        source.iter().filter(|role| role.owns && !role.built_in && report.grantees.contains(&role.name));
    for role in usable {
        if reachable.contains(&role.name) {
            continue;
        }
        let grant = format!("GRANT {} TO {}{options}", quote::ident(&role.name), quote::ident(&own));
        match run(client, &grant).await {
            Ok(()) => drop(reachable.insert(role.name.clone())),
            Err(error) if error.class().is_transient() => return Err(error),
            Err(_) => report.left_out.push(unreachable(client, &role.name).await?),
        }
    }
    report.owners = report.grantees.intersection(&reachable).cloned().collect();
    Ok(())
}

/// Whom our role made a member of what.
const BORROWED: &str = "
SELECT r.rolname::text
FROM pg_catalog.pg_auth_members a
JOIN pg_catalog.pg_roles r ON r.oid = a.roleid
JOIN pg_catalog.pg_roles own ON own.oid = a.member AND own.oid = a.grantor
WHERE own.rolname = current_user AND r.rolname = ANY ($1)
ORDER BY 1";

/// Leaves those of the roles that our role made itself a member of, as [`make`] does; for the end of a task.
///
/// # Errors
/// A lost connection. A refusal changes nothing and is reported.
pub async fn give_back(destination: &Client, roles: &BTreeSet<String>) -> Result<Vec<LeftOut>> {
    let own = quote::ident(&read::current_user(destination).await?);
    let mut report = Report::default();
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    for row in destination.query(BORROWED, &[&names]).await.map_err(client_error)? {
        let role: &str = row.get(0);
        let revoke = format!("REVOKE {} FROM {own}", quote::ident(role));
        if let Err(error) = run(destination, &revoke).await {
            let helps = format!("a superuser can run {revoke}");
            report_refusal(&mut report, role, "our role is still a member of it", error, &helps)?;
        }
    }
    Ok(report.left_out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::role;
    use super::*;
    use crate::schema::rewrite::NameMap;
    use secrecy::SecretString;

    #[test]
    fn a_role_is_made_with_what_it_has() {
        let app = Role {
            password: Some(SecretString::from("md5x'y")),
            valid_until: Some("infinity".into()),
            connection_limit: 3,
            inherit: false,
            ..role("App")
        };
        assert_eq!(
            create(&app),
            "CREATE ROLE \"App\" WITH LOGIN NOINHERIT CONNECTION LIMIT 3 VALID UNTIL 'infinity'"
        );
        assert!(!format!("{app:?}").contains("md5x"));
    }

    #[test]
    fn settings_are_lists_where_the_server_takes_lists() {
        let of = |name: &str, value: &str| {
            set("r", &Setting { in_database: false, name: name.into(), value: value.into() })
        };
        assert_eq!(
            of("search_path", "\"$user\", \"a,\"\"b\", public"),
            "ALTER ROLE r SET \"search_path\" TO '$user', 'a,\"b', 'public'"
        );
        assert_eq!(of("search_path", "\"\""), "ALTER ROLE r SET \"search_path\" TO ''");
        assert_eq!(of("my.note", "a, b"), "ALTER ROLE r SET \"my.note\" TO 'a, b'");
    }

    #[test]
    fn a_setting_in_the_database_follows_it() {
        let setting = Setting { in_database: true, name: "work_mem".into(), value: "1MB".into() };
        let app = Role { settings: vec![setting], create_db: true, ..role("a'b") };
        let all = further(&app, &Rewriter::new(NameMap::default())).expect("nothing to map");
        assert_eq!(all[0].1, "ALTER ROLE \"a'b\" CREATEDB");
        assert!(
            all[1].1.starts_with("DO 'BEGIN EXECUTE ''ALTER ROLE \"a''''b\" IN DATABASE "),
            "{}",
            all[1].1
        );
    }

    #[test]
    fn what_is_not_carried_is_said() {
        let strong =
            Role { own: [Power::Superuser, Power::BypassRls].into(), password_readable: false, ..role("x") };
        assert_eq!(not_carried(&strong).len(), 3);
        assert!(not_carried(&role("x")).is_empty());
    }
}
