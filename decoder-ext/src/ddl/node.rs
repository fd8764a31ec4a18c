//! What the parse tree of a statement says, as far as the catalog does not.

use pgrx::pg_sys::AlterTableType::{AT_AddColumn, AT_AttachPartition};
use pgrx::pg_sys::{self, ExplainStmt, Node, NodeTag, ObjectType, RangeVar};
use std::ffi::{CStr, c_char};

/// The extension, and what the names of its event triggers begin with.
const OURS: &[u8] = b"walferry";

/// The elements of a list of pointers.
///
/// # Safety
/// `list` must be null or a list of pointers to `T`.
unsafe fn items<'a, T>(list: *mut pg_sys::List) -> &'a [*mut T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: a list has `length` cells, which are unions of the size of a pointer.
    unsafe { std::slice::from_raw_parts((*list).elements.cast(), (*list).length as usize) }
}

unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    // SAFETY: the caller passes null or a C string that lives as long as the tree.
    if text.is_null() { b"" } else { unsafe { CStr::from_ptr(text) }.to_bytes() }
}

/// The command tag.
///
/// # Safety
/// Here and below: `tree` must be a live utility statement.
pub unsafe fn tag(tree: *mut Node) -> &'static CStr {
    // SAFETY: guarded; the names of tags are constants.
    unsafe { CStr::from_ptr(pg_sys::GetCommandTagName(pg_sys::CreateCommandTag(tree))) }
}

/// Whether the statement, of which no event trigger speaks, is about our own event triggers.
pub unsafe fn is_ours(tree: *mut Node) -> bool {
    // SAFETY: a statement of this kind has a name.
    unsafe {
        (*tree).type_ == NodeTag::T_AlterEventTrigStmt && {
            let name = bytes((*tree.cast::<pg_sys::AlterEventTrigStmt>()).trigname);
            name.strip_prefix(b"!").unwrap_or(name).starts_with(OURS)
        }
    }
}

/// Whether the statement drops this extension.
pub unsafe fn drops_us(tree: *mut Node) -> bool {
    // SAFETY: extensions are named by a list of string nodes.
    unsafe {
        if (*tree).type_ != NodeTag::T_DropStmt {
            return false;
        }
        let drop = &*tree.cast::<pg_sys::DropStmt>();
        drop.removeType == ObjectType::OBJECT_EXTENSION
            && items::<Node>(drop.objects).iter().any(|name| bytes(string(*name)) == OURS)
    }
}

#[cfg(any(feature = "pg13", feature = "pg14"))]
unsafe fn string(node: *mut Node) -> *const c_char {
    // SAFETY: the caller passes a string node.
    unsafe { (*node.cast::<pg_sys::Value>()).val.str_ }
}

#[cfg(not(any(feature = "pg13", feature = "pg14")))]
unsafe fn string(node: *mut Node) -> *const c_char {
    // SAFETY: the caller passes a string node.
    unsafe { (*node.cast::<pg_sys::String>()).sval }
}

/// The table of the index that the statement drops in several transactions.
pub unsafe fn indexed(tree: *mut Node) -> Option<pg_sys::Oid> {
    // SAFETY: guarded; relations are named by a list of names.
    unsafe {
        if (*tree).type_ != NodeTag::T_DropStmt {
            return None;
        }
        let drop = &*tree.cast::<pg_sys::DropStmt>();
        let name = items::<pg_sys::List>(drop.objects).first()?;
        if !drop.concurrent || drop.removeType != ObjectType::OBJECT_INDEX {
            return None;
        }
        let index = relation(pg_sys::makeRangeVarFromNameList(*name));
        Some(pg_sys::IndexGetRelation(index, true))
    }
}

/// The tables and sequences that the statement names to grant or revoke something on; none if it is another statement.
pub unsafe fn granted(tree: *mut Node) -> Vec<pg_sys::Oid> {
    // SAFETY: relations are named by range variables.
    unsafe {
        if (*tree).type_ != NodeTag::T_GrantStmt {
            return Vec::new();
        }
        let grant = &*tree.cast::<pg_sys::GrantStmt>();
        let by_name = grant.targtype == pg_sys::GrantTargetType::ACL_TARGET_OBJECT;
        if !by_name || ![ObjectType::OBJECT_TABLE, ObjectType::OBJECT_SEQUENCE].contains(&grant.objtype) {
            return Vec::new();
        }
        items::<RangeVar>(grant.objects).iter().map(|name| relation(*name)).collect()
    }
}

/// The relation that a name means in this session; the invalid oid if none.
unsafe fn relation(name: *mut RangeVar) -> pg_sys::Oid {
    // SAFETY: guarded; the caller passes a range variable.
    unsafe {
        let flags = pg_sys::RVROption::RVR_MISSING_OK;
        pg_sys::RangeVarGetRelidExtended(name, 0, flags, None, std::ptr::null_mut())
    }
}

/// Whether the statement drops what a role owns: it also revokes, of which the event triggers say nothing.
pub unsafe fn drops_owned(tree: *mut Node) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*tree).type_ == NodeTag::T_DropOwnedStmt }
}

/// Whether the statement makes a table and fills it by a query.
pub unsafe fn makes_table_of_query(tree: *mut Node) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*tree).type_ == NodeTag::T_CreateTableAsStmt && !is_materialized_view(tree.cast()) }
}

unsafe fn is_materialized_view(tree: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: the caller's promise.
    #[cfg(feature = "pg13")]
    let kind = unsafe { (*tree).relkind };
    // SAFETY: the caller's promise.
    #[cfg(not(feature = "pg13"))]
    let kind = unsafe { (*tree).objtype };
    kind == ObjectType::OBJECT_MATVIEW
}

/// Whether the statement is an EXPLAIN of CREATE TABLE AS or CREATE MATERIALIZED VIEW, which makes the relation with
/// ANALYZE, and without any event trigger. Calls nothing of PostgreSQL.
#[inline]
pub unsafe fn explains(tree: *mut Node) -> bool {
    // SAFETY: the tag says what the statement is.
    unsafe { (*tree).type_ == NodeTag::T_ExplainStmt && explains_making((*tree.cast::<ExplainStmt>()).query) }
}

unsafe fn explains_making(query: *mut Node) -> bool {
    // SAFETY: a query of a utility statement has that statement.
    unsafe {
        if (*query).type_ != NodeTag::T_Query {
            return false;
        }
        let made = (*query.cast::<pg_sys::Query>()).utilityStmt;
        !made.is_null() && (*made).type_ == NodeTag::T_CreateTableAsStmt
    }
}

/// The statement that an EXPLAIN runs, if it is one that [`explains`] knows and it runs it.
pub unsafe fn explained(tree: *mut Node) -> Option<*mut Node> {
    // SAFETY: the caller's promise.
    unsafe {
        let runs = explains(tree) && is_analyzed(tree);
        runs.then(|| (*(*tree.cast::<ExplainStmt>()).query.cast::<pg_sys::Query>()).utilityStmt)
    }
}

/// The relation that a query made. The schema is looked up as for a new table: a temporary one may hide it.
pub unsafe fn made_relation(tree: *mut Node) -> Option<pg_sys::Oid> {
    // SAFETY: guarded; a statement of this kind names its table.
    unsafe {
        ((*tree).type_ == NodeTag::T_CreateTableAsStmt).then(|| {
            let name = (*(*tree.cast::<pg_sys::CreateTableAsStmt>()).into).rel;
            pg_sys::get_relname_relid((*name).relname, pg_sys::RangeVarGetCreationNamespace(name))
        })
    }
}

/// Whether an EXPLAIN runs what it explains.
unsafe fn is_analyzed(tree: *mut Node) -> bool {
    // SAFETY: guarded; the options of an EXPLAIN have names.
    unsafe {
        let options = items::<pg_sys::DefElem>((*tree.cast::<ExplainStmt>()).options).iter();
        let mut analyze = options.rev().filter(|option| bytes((***option).defname) == b"analyze");
        analyze.next().is_some_and(|option| pg_sys::defGetBoolean(*option))
    }
}

/// Whether the statement writes rows of lasting tables before its end, without rewriting one: a mark must precede them.
pub unsafe fn writes_rows(tree: *mut Node) -> bool {
    // SAFETY: the tag says what the statement is.
    unsafe {
        match (*tree).type_ {
            NodeTag::T_CreateTableAsStmt => makes_table_of_query(tree) && is_lasting_and_new(tree.cast()),
            NodeTag::T_CreateExtensionStmt => {
                let create = &*tree.cast::<pg_sys::CreateExtensionStmt>();
                pg_sys::get_extension_oid(create.extname, true) == pg_sys::InvalidOid
            }
            tag => {
                tag == NodeTag::T_AlterExtensionStmt
                    && bytes((*tree.cast::<pg_sys::AlterExtensionStmt>()).extname) != OURS
            }
        }
    }
}

unsafe fn is_lasting_and_new(tree: *mut pg_sys::CreateTableAsStmt) -> bool {
    // SAFETY: guarded; a statement of this kind names its table.
    unsafe {
        let name = (*(*tree).into).rel;
        let schema = pg_sys::RangeVarGetCreationNamespace(name);
        (*name).relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
            && !pg_sys::isAnyTempNamespace(schema)
            && pg_sys::get_relname_relid((*name).relname, schema) == pg_sys::InvalidOid
    }
}

unsafe fn alterations<'a>(tree: *mut Node) -> &'a [*mut pg_sys::AlterTableCmd] {
    // SAFETY: a statement of this kind has a list of commands.
    unsafe {
        match (*tree).type_ {
            NodeTag::T_AlterTableStmt => items((*tree.cast::<pg_sys::AlterTableStmt>()).cmds),
            _ => &[],
        }
    }
}

/// The names of columns that ALTER TABLE adds.
pub unsafe fn added_columns<'a>(tree: *mut Node) -> Vec<&'a [u8]> {
    // SAFETY: a command that adds a column has its definition.
    unsafe {
        let added = alterations(tree).iter().filter(|command| (***command).subtype == AT_AddColumn);
        added.map(|command| bytes((*(**command).def.cast::<pg_sys::ColumnDef>()).colname)).collect()
    }
}

/// The partition that ALTER TABLE attaches.
pub unsafe fn attached(tree: *mut Node) -> Option<pg_sys::Oid> {
    // SAFETY: a command that attaches has a partition's name.
    unsafe {
        let attaching =
            alterations(tree).iter().find(|command| (***command).subtype == AT_AttachPartition)?;
        Some(relation((*(**attaching).def.cast::<pg_sys::PartitionCmd>()).name))
    }
}

/// Whether the statement may make partitions.
pub unsafe fn may_make_partitions(tree: *mut Node) -> bool {
    // SAFETY: a foreign table's statement begins with a table's.
    unsafe {
        match (*tree).type_ {
            NodeTag::T_CreateStmt | NodeTag::T_CreateForeignTableStmt => {
                !(*tree.cast::<pg_sys::CreateStmt>()).partbound.is_null()
            }
            tag => tag == NodeTag::T_CreateSchemaStmt,
        }
    }
}
