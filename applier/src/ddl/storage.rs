//! What a statement says of where things lie at the source, which is taken out: tablespaces.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node};

/// Takes tablespaces out of a statement; whether there were any.
pub fn drop_tablespaces(node: &mut NodeEnum) -> bool {
    match node {
        NodeEnum::CreateStmt(create) => {
            let lists = clear_all(&mut create.table_elts) | clear_all(&mut create.constraints);
            clear(&mut create.tablespacename) | lists
        }
        NodeEnum::IndexStmt(index) => clear(&mut index.table_space),
        NodeEnum::CreateTableAsStmt(create) => {
            create.into.as_mut().is_some_and(|into| clear(&mut into.table_space_name))
        }
        NodeEnum::SelectStmt(select) => {
            select.into_clause.as_mut().is_some_and(|into| clear(&mut into.table_space_name))
        }
        NodeEnum::AlterTableStmt(alter) => {
            let before = alter.cmds.len();
            alter.cmds.retain(|command| !sets_tablespace(command));
            clear_all(&mut alter.cmds) | (alter.cmds.len() < before)
        }
        NodeEnum::AlterTableCmd(command) => {
            command.def.as_mut().and_then(|def| def.node.as_mut()).is_some_and(drop_tablespaces)
        }
        NodeEnum::ColumnDef(column) => clear_all(&mut column.constraints),
        NodeEnum::Constraint(constraint) => clear(&mut constraint.indexspace),
        NodeEnum::CreateSchemaStmt(create) => clear_all(&mut create.schema_elts),
        // The others say nothing of it.
        _ => false,
    }
}

fn clear(name: &mut String) -> bool {
    !std::mem::take(name).is_empty()
}

fn clear_all(nodes: &mut [Node]) -> bool {
    let nodes = nodes.iter_mut().filter_map(|node| node.node.as_mut());
    nodes.fold(false, |any, node| drop_tablespaces(node) | any)
}

fn sets_tablespace(command: &Node) -> bool {
    let Some(NodeEnum::AlterTableCmd(command)) = command.node.as_ref() else { return false };
    command.subtype == AlterTableType::AtSetTableSpace as i32
}
