//! What a statement did to the source's tables, for the journal of tables.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::{Captured, Effect, Object, tree};

/// The tables that were made, changed or dropped, and schemas that got another name, with all tables in them.
pub fn effects(captured: &Captured) -> Vec<Effect> {
    let mut effects: Vec<Effect> = renamed_schema(captured).into_iter().collect();
    let tables = captured.objects.iter().filter(|object| object.kind == "table" && !object.temporary);
    for table in tables {
        let effect = of_table(table);
        match effects.iter_mut().find(|known| oid(known) == Some(table.oid)) {
            // The later word counts.
            Some(known) => *known = effect,
            None => effects.push(effect),
        }
    }
    effects
}

fn of_table(table: &Object) -> Effect {
    if table.dropped {
        return Effect::Gone { oid: table.oid };
    }
    Effect::Table {
        oid: table.oid,
        schema: table.schema.clone().unwrap_or_default(),
        name: table.name.clone().unwrap_or_default(),
    }
}

fn oid(effect: &Effect) -> Option<u32> {
    match effect {
        Effect::Table { oid, .. } | Effect::Gone { oid } => Some(*oid),
        Effect::Schema { .. } => None,
    }
}

fn renamed_schema(captured: &Captured) -> Option<Effect> {
    let text = captured.statement.as_deref().filter(|_| captured.tag == "ALTER SCHEMA")?;
    match tree::statement(text, tree::options(captured)).ok()? {
        NodeEnum::RenameStmt(rename) if rename.rename_type == ObjectType::ObjectSchema as i32 => {
            Some(Effect::Schema { from: rename.subname.clone(), to: rename.newname.clone() })
        }
        // ALTER SCHEMA ... OWNER TO.
        _ => None,
    }
}
