//! Statements about nothing but what hangs on tables - constraints, indexes, triggers, policies - and what is made last: a full
//! copy makes these after the rows, as the source has them by then.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, Node, ObjectType};

use super::{Captured, tree};

/// Types of objects that a full copy makes after the rows, in PostgreSQL's words.
const HANGING: &[&str] = &[
    "index",
    "table constraint",
    "trigger",
    "policy",
    "rule",
    "statistics object",
    "event trigger",
    "materialized view",
];

/// Whether a statement changes nothing else.
pub fn is_about_hanging(captured: &Captured) -> bool {
    let Some(text) = captured.statement.as_deref() else { return false };
    let Ok((node, _)) = tree::definition(captured, text) else { return false };
    let others = || captured.objects.iter().filter(|object| !HANGING.contains(&object.kind.as_str()));
    match &node {
        // ALTER TABLE names its table among the objects.
        NodeEnum::AlterTableStmt(alter) => {
            alter.cmds.iter().all(is_hanging_command) && others().all(|object| object.kind == "table")
        }
        NodeEnum::RenameStmt(rename) if rename.rename_type == ObjectType::ObjectTabconstraint as i32 => true,
        NodeEnum::CreateEventTrigStmt(_) | NodeEnum::AlterEventTrigStmt(_) => true,
        _ => !captured.objects.is_empty() && others().next().is_none(),
    }
}

fn is_hanging_command(command: &Node) -> bool {
    const COMMANDS: &[AlterTableType] = &[
        AlterTableType::AtAddConstraint,
        AlterTableType::AtAddIndexConstraint,
        AlterTableType::AtAlterConstraint,
        AlterTableType::AtClusterOn,
        AlterTableType::AtDisableRule,
        AlterTableType::AtDisableTrig,
        AlterTableType::AtDisableTrigAll,
        AlterTableType::AtDisableTrigUser,
        AlterTableType::AtDropConstraint,
        AlterTableType::AtEnableAlwaysRule,
        AlterTableType::AtEnableAlwaysTrig,
        AlterTableType::AtEnableReplicaRule,
        AlterTableType::AtEnableReplicaTrig,
        AlterTableType::AtEnableRule,
        AlterTableType::AtEnableTrig,
        AlterTableType::AtEnableTrigAll,
        AlterTableType::AtEnableTrigUser,
        AlterTableType::AtValidateConstraint,
    ];
    let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { return false };
    AlterTableType::try_from(command.subtype).is_ok_and(|subtype| COMMANDS.contains(&subtype))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{captured, object};
    use super::*;

    #[test]
    fn what_a_copy_makes_after_the_rows() {
        let is_hanging = |tag: &str, text: &str, kinds: &[&str]| {
            let objects = kinds.iter().map(|kind| object(kind, "public.x", 1)).collect();
            is_about_hanging(&captured(tag, text).of(objects))
        };
        assert!(is_hanging("ALTER TABLE", "ALTER TABLE t DROP CONSTRAINT c", &["table constraint", "table"]));
        assert!(is_hanging("ALTER TABLE", "ALTER TABLE t DISABLE TRIGGER g", &["table"]));
        assert!(!is_hanging("ALTER TABLE", "ALTER TABLE t DROP CONSTRAINT c, ADD COLUMN a int", &["table"]));
        assert!(is_hanging("ALTER INDEX", "ALTER INDEX i RENAME TO j", &["index"]));
        assert!(is_hanging("DROP TRIGGER", "DROP TRIGGER g ON t", &["trigger"]));
        assert!(is_hanging(
            "REFRESH MATERIALIZED VIEW",
            "REFRESH MATERIALIZED VIEW m",
            &["materialized view"]
        ));
        assert!(!is_hanging("CREATE TABLE", "CREATE TABLE t (id int PRIMARY KEY)", &["table", "index"]));
        assert!(!is_hanging("DROP TABLE", "DROP TABLE t", &["table"]));
    }
}
