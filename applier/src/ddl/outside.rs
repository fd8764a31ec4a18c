//! Statements that cannot be run in a transaction: CONCURRENTLY of indexes and of partitions. Where it cannot be told
//! whether they are done, the plain form is run in the transaction: it comes to the same, and only locks more.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType as At, IndexStmt, Node, ObjectType, PartitionCmd};

use super::known::Known;
use super::tree;
use crate::pg::quote::{self, ident, literal};
use crate::schema::rewrite::{NameMap, Qualified};

/// What is asked of the destination about such a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// The index, by its name at the destination, is there and valid.
    Valid(String),
    /// The index is not there.
    NoIndex(String),
    /// The table is no partition of the other one.
    NoPartition {
        /// The partition, by its name at the destination.
        partition: String,
        /// The partitioned table.
        parent: String,
    },
}

/// What tells that a CONCURRENTLY statement is done; makes it a plain one where nothing does. The flag says whether
/// the tree was changed.
pub fn sign(node: &mut NodeEnum, known: &Known<'_>, map: &NameMap) -> (Option<Sign>, bool) {
    match node {
        NodeEnum::IndexStmt(index) if index.concurrent => {
            let sign = index_name(index, known, map).map(Sign::Valid);
            index.concurrent = sign.is_some();
            let changed = sign.is_none();
            (sign, changed)
        }
        NodeEnum::DropStmt(drop) if drop.concurrent && drop.remove_type == ObjectType::ObjectIndex as i32 => {
            let name = drop.objects.first().map(tree::name).and_then(|names| named(&names, known, map));
            (name.map(Sign::NoIndex), false)
        }
        NodeEnum::AlterTableStmt(alter) => of_partition(alter, known, map),
        // The rest runs in a transaction, and what does not is not carried.
        _ => (None, false),
    }
}

/// The index is in its table's schema.
fn index_name(index: &IndexStmt, known: &Known<'_>, map: &NameMap) -> Option<String> {
    let made = known.captured.objects.iter().find(|object| object.kind == "index" && !object.dropped)?;
    let (schema, name) = (made.schema.as_deref()?, made.name.as_deref()?);
    let table = index.relation.as_ref()?;
    let of_table = map.table(schema, &table.relname).0;
    let (at, to) = map.relation(schema, name);
    let at = if at == map.schema(schema) { of_table } else { at };
    Some(qualified(&(at, to)))
}

fn named(names: &[String], known: &Known<'_>, map: &NameMap) -> Option<String> {
    match names {
        [schema, name] => Some(qualified(&map.relation(schema, name))),
        [name] => {
            let gone = known.captured.objects.iter().find(|object| object.name.as_ref() == Some(name));
            let schema = gone.and_then(|gone| gone.schema.as_deref());
            Some(schema.map_or_else(|| ident(name), |schema| qualified(&map.relation(schema, name))))
        }
        _ => None,
    }
}

fn qualified((schema, name): &Qualified) -> String {
    quote::qualified(schema, name)
}

/// DETACH PARTITION CONCURRENTLY, and FINALIZE of one that was broken off at the source: here it begins anew.
fn of_partition(alter: &mut AlterTableStmt, known: &Known<'_>, map: &NameMap) -> (Option<Sign>, bool) {
    let parent = alter.relation.as_ref().map(|table| relation(&table.schemaname, &table.relname, map));
    let Some((subtype, partition)) = alter.cmds.first_mut().and_then(detached) else { return (None, false) };
    let finalizes = *subtype == At::AtDetachPartitionFinalize as i32;
    if !finalizes && !partition.concurrent {
        return (None, false);
    }
    let can = known.server >= 14;
    let changed = finalizes || !can;
    *subtype = At::AtDetachPartition as i32;
    partition.concurrent = can;
    let name = partition.name.as_ref().map(|table| relation(&table.schemaname, &table.relname, map));
    let sign = name.zip(parent).map(|(partition, parent)| Sign::NoPartition { partition, parent });
    (sign.filter(|_| can), changed)
}

fn detached(command: &mut Node) -> Option<(&mut i32, &mut PartitionCmd)> {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_mut() else { return None };
    let detaches = [At::AtDetachPartition as i32, At::AtDetachPartitionFinalize as i32];
    match command.def.as_mut()?.node.as_mut()? {
        NodeEnum::PartitionCmd(partition) if detaches.contains(&command.subtype) => {
            Some((&mut command.subtype, partition))
        }
        // Another command.
        _ => None,
    }
}

/// A table's name at the destination, as the mapped search_path finds it where it has no schema.
pub fn relation(schema: &str, name: &str, map: &NameMap) -> String {
    match schema {
        "" => map.bare(name).map_or_else(|| ident(name), |to| qualified(&to)),
        schema => qualified(&map.relation(schema, name)),
    }
}

impl Sign {
    /// The statement with what is asked and what is cleaned.
    pub fn outside(&self, statement: String) -> super::Outside {
        let (is_done, clean) = match self {
            Sign::Valid(index) => (
                format!(
                    "SELECT EXISTS (SELECT FROM pg_catalog.pg_index WHERE indexrelid OPERATOR(pg_catalog.=) \
                     pg_catalog.to_regclass({}) AND indisvalid)",
                    literal(index)
                ),
                vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {index}")],
            ),
            Sign::NoIndex(index) => {
                (format!("SELECT pg_catalog.to_regclass({}) IS NULL", literal(index)), Vec::new())
            }
            Sign::NoPartition { partition, parent } => (
                format!("SELECT NOT EXISTS ({})", attached(partition, parent)),
                vec![finalize(partition, parent)],
            ),
        };
        super::Outside { is_done, clean, statement }
    }
}

fn attached(partition: &str, parent: &str) -> String {
    format!(
        "SELECT FROM pg_catalog.pg_inherits WHERE inhrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({}) AND \
         inhparent OPERATOR(pg_catalog.=) pg_catalog.to_regclass({})",
        literal(partition),
        literal(parent)
    )
}

/// Finishes a detachment that was broken off half done.
fn finalize(partition: &str, parent: &str) -> String {
    let statement = format!("ALTER TABLE {parent} DETACH PARTITION {partition} FINALIZE");
    let body = format!(
        "BEGIN IF EXISTS ({} AND inhdetachpending) THEN EXECUTE {}; END IF; END",
        attached(partition, parent),
        literal(&statement)
    );
    format!("DO {}", literal(&body))
}
