//! Large objects, by functions that any role may call on its own objects (`lo_get`, `lo_from_bytea`, `lo_put`). They go in
//! parts of neighbouring oids, each landed like a part of a table, so that none is copied twice; their comments, owners and
//! grants follow where the roles exist.

use std::collections::HashSet;
use tokio_postgres::{Client, Row, Transaction};

use super::Limiter;
use crate::config::Existing;
use crate::error::{Error, Result};
use crate::pg::copy::Throttle;
use crate::pg::{Lsn, Snapshot, client_error, quote};
use crate::state::parts::{self, Landed, Part, Unit};

/// `pg_largeobject`'s own oid stands for them in `walferry_state.parts`.
pub const OID: u32 = 2613;
/// So many objects make a part.
const IN_PART: i64 = 1000;
/// So many are read at once.
const AT_ONCE: usize = 16;
/// So much of an object is read at once, in bytes.
const PIECE: i32 = 256 * 1024;

/// How large objects are copied.
pub struct LargeObjects<'a> {
    /// A session whose transaction has the snapshot.
    pub source: &'a Client,
    /// The task.
    pub task: &'a str,
    /// The limit.
    pub limiter: &'a Limiter,
    /// What happens to objects of the same oid.
    pub existing: Existing,
    /// The snapshot of the source's session, and its LSN.
    pub seen: (Snapshot, Lsn),
}

/// What lies beside an object's bytes.
struct Metadata {
    oid: u32,
    owner: String,
    comment: Option<String>,
    /// Grantee (none is PUBLIC), SELECT or UPDATE, with grant option.
    grants: Vec<(Option<String>, String, bool)>,
}

/// The parts of all large objects; none if there are none. Known parts stay as they are.
///
/// # Errors
/// As [`Class`](crate::error::Class) says.
pub async fn plan(source: &Client, destination: &Client, task: &str) -> Result<Vec<Part>> {
    let ours = |parts: Vec<Part>| parts.into_iter().filter(|part| part.unit == Unit::LargeObjects).collect();
    let known: Vec<Part> = ours(parts::read(destination, task).await?);
    if !known.is_empty() {
        return Ok(known);
    }
    let sql = "SELECT min(oid)::int8 FROM (SELECT oid, pg_catalog.row_number() OVER (ORDER BY oid) - 1 AS n \
               FROM pg_catalog.pg_largeobject_metadata) AS o GROUP BY n / $1 ORDER BY 1";
    let rows = source.query(sql, &[&IN_PART]).await.map_err(client_error)?;
    let lower: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    let part = |at: usize| Part {
        source_oid: OID,
        part: at as i32,
        unit: Unit::LargeObjects,
        lower: Some(lower[at]),
        upper: lower.get(at + 1).copied(),
        landed: None,
    };
    let parts: Vec<Part> = (0..lower.len()).map(part).collect();
    parts::add(destination, task, &parts).await?;
    Ok(parts)
}

impl LargeObjects<'_> {
    /// Copies one part in one transaction.
    ///
    /// # Errors
    /// As [`Class`](crate::error::Class) says; the part is then not there.
    pub async fn copy(&self, destination: &mut Client, part: &Part) -> Result<Landed> {
        let objects = self.metadata(part).await?;
        let transaction = destination.transaction().await.map_err(client_error)?;
        let wanted = self.make_room(&transaction, &objects).await?;
        let mut bytes = 0;
        for group in wanted.chunks(AT_ONCE) {
            let oids: Vec<u32> = group.iter().map(|object| object.oid).collect();
            bytes += self.bytes(&transaction, &oids).await?;
        }
        dress(&transaction, &wanted).await?;
        let (snapshot, lsn) = self.seen.clone();
        let rows = objects.len() as i64;
        let landed = Landed { snapshot, lsn, rows, bytes, kept: rows - wanted.len() as i64 };
        let land = parts::land(self.task, part, &landed);
        transaction.batch_execute(&land).await.map_err(client_error)?;
        transaction.commit().await.map_err(client_error)?;
        Ok(landed)
    }

    /// The objects that are to be written, once those of the same oids are out of their way.
    async fn make_room<'a>(
        &self,
        transaction: &Transaction<'_>,
        objects: &'a [Metadata],
    ) -> Result<Vec<&'a Metadata>> {
        let there = there(transaction, objects).await?;
        match (self.existing, there.iter().next()) {
            (Existing::Error, Some(oid)) => Err(exists(*oid)),
            (Existing::Keep, _) => Ok(objects.iter().filter(|object| !there.contains(&object.oid)).collect()),
            (Existing::Overwrite | Existing::Error, _) => {
                remove(transaction, there.into_iter().collect()).await?;
                Ok(objects.iter().collect())
            }
        }
    }

    async fn metadata(&self, part: &Part) -> Result<Vec<Metadata>> {
        let sql = "SELECT m.oid, pg_catalog.pg_get_userbyid(m.lomowner)::text, d.description, \
                   g.grantees, g.privileges, g.options FROM pg_catalog.pg_largeobject_metadata m \
                   LEFT JOIN pg_catalog.pg_description d ON d.objoid = m.oid AND d.objsubid = 0 \
                        AND d.classoid = 'pg_catalog.pg_largeobject'::regclass \
                   CROSS JOIN LATERAL (SELECT \
                     coalesce(pg_catalog.array_agg(CASE WHEN a.grantee <> 0 \
                              THEN pg_catalog.pg_get_userbyid(a.grantee)::text END), '{}') AS grantees, \
                     coalesce(pg_catalog.array_agg(a.privilege_type), '{}') AS privileges, \
                     coalesce(pg_catalog.array_agg(a.is_grantable), '{}') AS options \
                     FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner) g \
                   WHERE m.oid::int8 >= $1 AND ($2::int8 IS NULL OR m.oid::int8 < $2) ORDER BY m.oid";
        let rows = self.source.query(sql, &[&part.lower.unwrap_or(0), &part.upper]).await;
        Ok(rows.map_err(client_error)?.iter().map(metadata).collect())
    }

    /// Copies the bytes of some objects: their first pieces together, the rest of the long ones one by one.
    async fn bytes(&self, destination: &Transaction<'_>, oids: &[u32]) -> Result<i64> {
        let sql = "SELECT o, pg_catalog.lo_get(o, 0, $2) FROM unnest($1::oid[]) AS o";
        let rows = self.source.query(sql, &[&oids, &PIECE]).await.map_err(client_error)?;
        let first: Vec<(u32, &[u8])> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let (oids, pieces): (Vec<u32>, Vec<&[u8]>) = first.iter().copied().unzip();
        let mut total: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.limiter.take(total).await;
        let sql = "SELECT pg_catalog.lo_from_bytea(o, d) FROM unnest($1::oid[], $2::bytea[]) AS t(o, d)";
        destination.query(sql, &[&oids, &pieces]).await.map_err(client_error)?;
        for (oid, _) in first.iter().filter(|(_, piece)| piece.len() == PIECE as usize) {
            total += self.rest(destination, *oid).await?;
        }
        Ok(total as i64)
    }

    /// Copies what comes behind an object's first piece.
    async fn rest(&self, destination: &Transaction<'_>, oid: u32) -> Result<usize> {
        let mut total = 0;
        loop {
            let at = i64::from(PIECE) + total as i64;
            let sql = "SELECT pg_catalog.lo_get($1, $2, $3)";
            let row = self.source.query_one(sql, &[&oid, &at, &PIECE]).await.map_err(client_error)?;
            let piece: &[u8] = row.get(0);
            if piece.is_empty() {
                return Ok(total);
            }
            self.limiter.take(piece.len()).await;
            let sql = "SELECT pg_catalog.lo_put($1, $2, $3)";
            destination.query(sql, &[&oid, &at, &piece]).await.map_err(client_error)?;
            total += piece.len();
        }
    }
}

fn metadata(row: &Row) -> Metadata {
    let (grantees, privileges): (Vec<Option<String>>, Vec<String>) = (row.get(3), row.get(4));
    let options: Vec<bool> = row.get(5);
    let grants = grantees.into_iter().zip(privileges).zip(options);
    Metadata {
        oid: row.get(0),
        owner: row.get(1),
        comment: row.get(2),
        grants: grants.map(|((grantee, privilege), option)| (grantee, privilege, option)).collect(),
    }
}

/// Which of the objects the destination has already.
async fn there(destination: &Transaction<'_>, objects: &[Metadata]) -> Result<HashSet<u32>> {
    let oids: Vec<u32> = objects.iter().map(|object| object.oid).collect();
    let sql = "SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE oid = ANY ($1)";
    let rows = destination.query(sql, &[&oids]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn remove(destination: &Transaction<'_>, oids: Vec<u32>) -> Result<()> {
    let sql = "SELECT pg_catalog.lo_unlink(o) FROM unnest($1::oid[]) AS o";
    destination.query(sql, &[&oids]).await.map(|_| ()).map_err(client_error)
}

/// Comments, owners, grants. A role that is not there, or that ours may not act for, leaves the object with us.
async fn dress(destination: &Transaction<'_>, objects: &[&Metadata]) -> Result<()> {
    let sql = "SELECT rolname::text, pg_catalog.pg_has_role(oid, 'MEMBER') FROM pg_catalog.pg_roles";
    let rows = destination.query(sql, &[]).await.map_err(client_error)?;
    let roles: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let members: HashSet<String> = rows.iter().filter(|row| row.get(1)).map(|row| row.get(0)).collect();
    let sql: Vec<String> = objects.iter().flat_map(|object| object.statements(&roles, &members)).collect();
    if sql.is_empty() {
        return Ok(());
    }
    destination.batch_execute(&sql.join("; ")).await.map_err(client_error)
}

impl Metadata {
    fn statements(&self, roles: &HashSet<String>, members: &HashSet<String>) -> Vec<String> {
        let mut sql = Vec::new();
        let object = format!("LARGE OBJECT {}", self.oid);
        if let Some(comment) = &self.comment {
            sql.push(format!("COMMENT ON {object} IS {}", quote::ascii_literal(comment)));
        }
        for (grantee, privilege, option) in &self.grants {
            let to = match grantee {
                None => "PUBLIC".to_owned(),
                Some(role) if roles.contains(role) => quote::ascii_ident(role),
                Some(_) => continue,
            };
            let option = if *option { " WITH GRANT OPTION" } else { "" };
            sql.push(format!("GRANT {privilege} ON {object} TO {to}{option}"));
        }
        // Last: then it is not ours any more.
        if members.contains(&self.owner) {
            sql.push(format!("ALTER {object} OWNER TO {}", quote::ascii_ident(&self.owner)));
        }
        sql
    }
}

fn exists(oid: u32) -> Error {
    Error::rejected(format!(
        "the destination has a large object {oid}, as the source has; remove it, or choose what happens with \
         [copy] existing = \"keep\" or \"overwrite\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roles_that_exist_are_named_and_the_owner_comes_last() {
        let object = Metadata {
            oid: 9,
            owner: "anna".into(),
            comment: Some("it's".into()),
            grants: vec![
                (None, "SELECT".into(), false),
                (Some("bert".into()), "UPDATE".into(), true),
                (Some("gone".into()), "UPDATE".into(), false),
            ],
        };
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        assert_eq!(
            object.statements(&set(&["anna", "bert"]), &set(&["anna"])),
            [
                "COMMENT ON LARGE OBJECT 9 IS 'it''s'",
                "GRANT SELECT ON LARGE OBJECT 9 TO PUBLIC",
                "GRANT UPDATE ON LARGE OBJECT 9 TO \"bert\" WITH GRANT OPTION",
                "ALTER LARGE OBJECT 9 OWNER TO \"anna\"",
            ]
        );
        assert_eq!(object.statements(&set(&[]), &set(&[])).len(), 2);
    }
}
