//! Which statements change definitions, and which may hold secrets.

use pgrx::pg_sys::NodeTag;

/// Whether statements of this kind are captured: those that event triggers speak of, and those beyond (rule 27).
/// REINDEX, CLUSTER and ALTER SYSTEM change no definition of the database.
#[inline]
pub fn is_definition(tag: NodeTag) -> bool {
    is_relation(tag)
        || is_routine_or_type(tag)
        || is_any_object(tag)
        || is_secret(tag)
        || is_beyond_triggers(tag)
}

fn is_relation(tag: NodeTag) -> bool {
    matches!(
        tag,
        NodeTag::T_CreateSchemaStmt
            | NodeTag::T_CreateStmt
            | NodeTag::T_CreateForeignTableStmt
            | NodeTag::T_AlterTableStmt
            | NodeTag::T_AlterTableMoveAllStmt
            | NodeTag::T_CreateTableAsStmt
            | NodeTag::T_IndexStmt
            | NodeTag::T_ViewStmt
            | NodeTag::T_RefreshMatViewStmt
            | NodeTag::T_CreateSeqStmt
            | NodeTag::T_AlterSeqStmt
            | NodeTag::T_CreateTrigStmt
            | NodeTag::T_RuleStmt
            | NodeTag::T_CreatePolicyStmt
            | NodeTag::T_AlterPolicyStmt
            | NodeTag::T_CreateStatsStmt
            | NodeTag::T_AlterStatsStmt
            | NodeTag::T_ImportForeignSchemaStmt
    )
}

fn is_routine_or_type(tag: NodeTag) -> bool {
    matches!(
        tag,
        NodeTag::T_DefineStmt
            | NodeTag::T_CompositeTypeStmt
            | NodeTag::T_CreateEnumStmt
            | NodeTag::T_AlterEnumStmt
            | NodeTag::T_CreateRangeStmt
            | NodeTag::T_CreateDomainStmt
            | NodeTag::T_AlterDomainStmt
            | NodeTag::T_AlterTypeStmt
            | NodeTag::T_CreateFunctionStmt
            | NodeTag::T_AlterFunctionStmt
            | NodeTag::T_CreatePLangStmt
            | NodeTag::T_CreateConversionStmt
            | NodeTag::T_CreateCastStmt
            | NodeTag::T_CreateOpClassStmt
            | NodeTag::T_CreateOpFamilyStmt
            | NodeTag::T_AlterOpFamilyStmt
            | NodeTag::T_AlterOperatorStmt
            | NodeTag::T_CreateTransformStmt
            | NodeTag::T_AlterTSDictionaryStmt
            | NodeTag::T_AlterTSConfigurationStmt
            | NodeTag::T_AlterCollationStmt
            | NodeTag::T_CreateAmStmt
    )
}

fn is_any_object(tag: NodeTag) -> bool {
    matches!(
        tag,
        NodeTag::T_DropStmt
            | NodeTag::T_RenameStmt
            | NodeTag::T_AlterObjectDependsStmt
            | NodeTag::T_AlterObjectSchemaStmt
            | NodeTag::T_AlterOwnerStmt
            | NodeTag::T_CommentStmt
            | NodeTag::T_SecLabelStmt
            | NodeTag::T_GrantStmt
            | NodeTag::T_AlterDefaultPrivilegesStmt
            | NodeTag::T_DropOwnedStmt
            | NodeTag::T_CreateExtensionStmt
            | NodeTag::T_AlterExtensionStmt
            | NodeTag::T_AlterExtensionContentsStmt
            | NodeTag::T_CreatePublicationStmt
            | NodeTag::T_AlterPublicationStmt
    )
}

/// No event trigger speaks of these, and they hold no secrets.
fn is_beyond_triggers(tag: NodeTag) -> bool {
    matches!(
        tag,
        NodeTag::T_CreateEventTrigStmt | NodeTag::T_AlterEventTrigStmt | NodeTag::T_ReassignOwnedStmt
    )
}

/// Whether such a statement removes files before its transaction ends: nothing may fail between the two.
pub fn is_beyond_recall(tag: NodeTag) -> bool {
    matches!(tag, NodeTag::T_DropdbStmt | NodeTag::T_DropTableSpaceStmt)
}

/// Whether the text of such statements is not kept: passwords and connections, and what belongs to the server as a whole.
pub fn is_secret(tag: NodeTag) -> bool {
    #[cfg(any(feature = "pg13", feature = "pg14"))]
    let refreshes_database = false;
    #[cfg(not(any(feature = "pg13", feature = "pg14")))]
    let refreshes_database = tag == NodeTag::T_AlterDatabaseRefreshCollStmt;
    refreshes_database
        || matches!(
            tag,
            NodeTag::T_CreateSubscriptionStmt
                | NodeTag::T_AlterSubscriptionStmt
                | NodeTag::T_DropSubscriptionStmt
                | NodeTag::T_CreateFdwStmt
                | NodeTag::T_AlterFdwStmt
                | NodeTag::T_CreateForeignServerStmt
                | NodeTag::T_AlterForeignServerStmt
                | NodeTag::T_CreateUserMappingStmt
                | NodeTag::T_AlterUserMappingStmt
                | NodeTag::T_DropUserMappingStmt
                | NodeTag::T_CreateRoleStmt
                | NodeTag::T_AlterRoleStmt
                | NodeTag::T_AlterRoleSetStmt
                | NodeTag::T_DropRoleStmt
                | NodeTag::T_GrantRoleStmt
                | NodeTag::T_CreatedbStmt
                | NodeTag::T_AlterDatabaseStmt
                | NodeTag::T_AlterDatabaseSetStmt
                | NodeTag::T_DropdbStmt
                | NodeTag::T_CreateTableSpaceStmt
                | NodeTag::T_DropTableSpaceStmt
                | NodeTag::T_AlterTableSpaceOptionsStmt
        )
}
