//! Objects by name, told alike at both ends: what is at the destination already is found by asking both servers the
//! same question. Names are as the catalogs have them, with the types of arguments where a name alone is not enough.

use std::collections::{HashMap, HashSet};
use tokio_postgres::Client;

use super::facts::catalogs;
use crate::error::Result;
use crate::pg::client_error;

/// A schema (empty for what lives in none) and a name.
pub type Name = (String, String);

/// Every object that users made, by catalog and oid.
pub type Named = HashMap<(u32, u32), Name>;

/// What a server has, by catalog and name.
#[derive(Debug, Clone, Default)]
pub struct Present(HashSet<(u32, Name)>);

const OBJECTS: &str = "
WITH argument(oid, list) AS (
  SELECT p.oid, (SELECT pg_catalog.string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.at)
                 FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a(type, at))
  FROM pg_catalog.pg_proc p WHERE p.oid >= 16384),
object(catalog, oid, namespace, name) AS (
  SELECT 2615::oid, oid, 0::oid, nspname::text FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
  UNION ALL SELECT 1259, oid, relnamespace, relname FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind <> 't'
  UNION ALL SELECT 1247, oid, typnamespace, typname FROM pg_catalog.pg_type WHERE oid >= 16384
    AND (typelem = 0 OR typlen <> -1)
  UNION ALL SELECT 1255, p.oid, p.pronamespace, p.proname || '(' || coalesce(a.list, '') || ')'
    FROM pg_catalog.pg_proc p JOIN argument a ON a.oid = p.oid
  UNION ALL SELECT 2617, oid, oprnamespace, oprname || '(' || pg_catalog.format_type(oprleft, NULL) || ', '
    || pg_catalog.format_type(oprright, NULL) || ')' FROM pg_catalog.pg_operator WHERE oid >= 16384
  UNION ALL SELECT 2616, c.oid, c.opcnamespace, c.opcname || ' using ' || m.amname
    FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod WHERE c.oid >= 16384
  UNION ALL SELECT 2753, f.oid, f.opfnamespace, f.opfname || ' using ' || m.amname
    FROM pg_catalog.pg_opfamily f JOIN pg_catalog.pg_am m ON m.oid = f.opfmethod WHERE f.oid >= 16384
  UNION ALL SELECT 3456, oid, collnamespace, collname FROM pg_catalog.pg_collation WHERE oid >= 16384
  UNION ALL SELECT 2607, oid, connamespace, conname FROM pg_catalog.pg_conversion WHERE oid >= 16384
  UNION ALL SELECT 3600, oid, dictnamespace, dictname FROM pg_catalog.pg_ts_dict WHERE oid >= 16384
  UNION ALL SELECT 3601, oid, prsnamespace, prsname FROM pg_catalog.pg_ts_parser WHERE oid >= 16384
  UNION ALL SELECT 3602, oid, cfgnamespace, cfgname FROM pg_catalog.pg_ts_config WHERE oid >= 16384
  UNION ALL SELECT 3764, oid, tmplnamespace, tmplname FROM pg_catalog.pg_ts_template WHERE oid >= 16384
  UNION ALL SELECT 3381, oid, stxnamespace, stxname FROM pg_catalog.pg_statistic_ext
  UNION ALL SELECT 2606, o.oid, c.relnamespace, c.relname || ' ' || o.conname
    FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_class c ON c.oid = o.conrelid WHERE c.oid >= 16384
  UNION ALL SELECT 2620, o.oid, c.relnamespace, c.relname || ' ' || o.tgname
    FROM pg_catalog.pg_trigger o JOIN pg_catalog.pg_class c ON c.oid = o.tgrelid WHERE NOT o.tgisinternal
  UNION ALL SELECT 2618, o.oid, c.relnamespace, c.relname || ' ' || o.rulename
    FROM pg_catalog.pg_rewrite o JOIN pg_catalog.pg_class c ON c.oid = o.ev_class
    WHERE c.oid >= 16384 AND o.rulename <> '_RETURN'
  UNION ALL SELECT 3256, o.oid, c.relnamespace, c.relname || ' ' || o.polname
    FROM pg_catalog.pg_policy o JOIN pg_catalog.pg_class c ON c.oid = o.polrelid
  UNION ALL SELECT 3079, oid, 0, extname FROM pg_catalog.pg_extension
  UNION ALL SELECT 2601, oid, 0, amname FROM pg_catalog.pg_am WHERE oid >= 16384
  UNION ALL SELECT 2612, oid, 0, lanname FROM pg_catalog.pg_language WHERE oid >= 16384
  UNION ALL SELECT 3466, oid, 0, evtname FROM pg_catalog.pg_event_trigger
  UNION ALL SELECT 2605, oid, 0, pg_catalog.format_type(castsource, NULL) || ' as '
    || pg_catalog.format_type(casttarget, NULL) FROM pg_catalog.pg_cast WHERE oid >= 16384
  UNION ALL SELECT 3576, x.oid, 0, pg_catalog.format_type(x.trftype, NULL) || ' for ' || l.lanname
    FROM pg_catalog.pg_transform x JOIN pg_catalog.pg_language l ON l.oid = x.trflang)
SELECT o.catalog, o.oid, coalesce(n.nspname::text, ''), o.name
FROM object o LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace";

/// The objects of a server.
pub async fn read(client: &Client) -> Result<Named> {
    let rows = client.query(OBJECTS, &[]).await.map_err(client_error)?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect())
}

impl Present {
    /// The names of what a server has.
    pub fn of(named: &Named) -> Self {
        Self(named.iter().map(|((catalog, _), name)| (*catalog, name.clone())).collect())
    }

    /// Whether there is an object that this one would collide with. Relations and types share a namespace: a table
    /// brings a type of its name.
    pub fn has(&self, catalog: u32, name: &Name) -> bool {
        let alike: &[u32] = match catalog {
            catalogs::CLASS | catalogs::TYPE => &[catalogs::CLASS, catalogs::TYPE],
            _ => &[],
        };
        let has = |catalog: u32| self.0.contains(&(catalog, name.clone()));
        has(catalog) || alike.iter().any(|catalog| has(*catalog))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_and_types_share_a_namespace() {
        let name = ("public".to_owned(), "mood".to_owned());
        let present = Present::of(&HashMap::from([((1247, 20000), name.clone())]));
        assert!(present.has(1259, &name) && present.has(1247, &name) && !present.has(1255, &name));
    }
}
