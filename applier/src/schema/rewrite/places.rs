//! Which lists of strings in a parse tree are names of objects with their schema before them. Kinds of nodes and
//! their fields are those of PostgreSQL's parsenodes.h, as pg_query spells them.

use pg_query::protobuf::ObjectType as Object;

/// Fields that hold `[schema, name]` of something that is no relation.
const NAMES: &[(&str, &str)] = &[
    ("AExpr", "name"),
    ("AlterCollationStmt", "collname"),
    ("AlterDomainStmt", "type_name"),
    ("AlterEnumStmt", "type_name"),
    ("AlterOpFamilyStmt", "opfamilyname"),
    ("AlterStatsStmt", "defnames"),
    ("AlterTsconfigurationStmt", "cfgname"),
    ("AlterTsconfigurationStmt", "dicts"),
    ("AlterTsdictionaryStmt", "dictname"),
    ("AlterTypeStmt", "type_name"),
    ("CollateClause", "collname"),
    ("Constraint", "exclusions"),
    ("CreateAmStmt", "handler_name"),
    ("CreateConversionStmt", "conversion_name"),
    ("CreateConversionStmt", "func_name"),
    ("CreateDomainStmt", "domainname"),
    ("CreateEnumStmt", "type_name"),
    ("CreateEventTrigStmt", "funcname"),
    ("CreateFunctionStmt", "funcname"),
    ("CreateOpClassItem", "order_family"),
    ("CreateOpClassStmt", "opclassname"),
    ("CreateOpClassStmt", "opfamilyname"),
    ("CreateOpFamilyStmt", "opfamilyname"),
    ("CreatePlangStmt", "plhandler"),
    ("CreatePlangStmt", "plinline"),
    ("CreatePlangStmt", "plvalidator"),
    ("CreateRangeStmt", "type_name"),
    ("CreateStatsStmt", "defnames"),
    ("CreateTrigStmt", "funcname"),
    ("DefineStmt", "defnames"),
    ("FuncCall", "funcname"),
    ("IndexElem", "collation"),
    ("IndexElem", "opclass"),
    ("ObjectWithArgs", "objname"),
    ("PartitionElem", "collation"),
    ("PartitionElem", "opclass"),
    ("RangeTableSample", "method"),
    ("SortBy", "use_op"),
    ("SubLink", "oper_name"),
];

/// Whether the field holds the name of something that is no relation.
pub fn is_name(kind: &str, field: &str) -> bool {
    NAMES.contains(&(kind, field))
}

/// Where a relation may stand that takes an alias.
const ALIASED: &[(&str, &str)] = &[
    ("DeleteStmt", "relation"),
    ("DeleteStmt", "using_clause"),
    ("InsertStmt", "relation"),
    ("JoinExpr", "larg"),
    ("JoinExpr", "rarg"),
    ("MergeStmt", "relation"),
    ("MergeStmt", "source_relation"),
    ("RangeTableSample", "relation"),
    ("SelectStmt", "from_clause"),
    ("UpdateStmt", "from_clause"),
    ("UpdateStmt", "relation"),
];

/// Whether a relation in this field may have an alias.
pub fn takes_alias(kind: &str, field: &str) -> bool {
    ALIASED.contains(&(kind, field))
}

/// What opens a scope of its own for the names of tables.
pub fn is_query(kind: &str) -> bool {
    ["SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"].contains(&kind)
}

/// The field that says of what kind the object of a statement is, and the field with the object or objects.
pub fn object_fields(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "CommentStmt" | "SecLabelStmt" | "AlterExtensionContentsStmt" => Some(("objtype", "object")),
        "GrantStmt" => Some(("objtype", "objects")),
        "DropStmt" => Some(("remove_type", "objects")),
        "RenameStmt" => Some(("rename_type", "object")),
        "AlterOwnerStmt" | "AlterObjectSchemaStmt" | "AlterObjectDependsStmt" => {
            Some(("object_type", "object"))
        }
        // The other statements hold their objects' names in fields of their own.
        _ => None,
    }
}

/// How the list of strings that names an object is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[schema, name]` of something that is no relation.
    Name,
    /// `[schema, relation]`.
    Relation,
    /// `[schema, relation, name of a part of it]`.
    Part,
    /// `[schema, relation, constraint]`.
    Constraint,
    /// `[access method, schema, name]`.
    AccessMethod,
    /// One schema.
    Schema,
    /// What lives in no schema.
    Outside,
}

/// How an object of this type is named.
pub fn form(object: Object) -> Form {
    match object {
        Object::ObjectTable
        | Object::ObjectView
        | Object::ObjectMatview
        | Object::ObjectIndex
        | Object::ObjectSequence
        | Object::ObjectForeignTable => Form::Relation,
        Object::ObjectColumn | Object::ObjectPolicy | Object::ObjectRule | Object::ObjectTrigger => {
            Form::Part
        }
        Object::ObjectTabconstraint => Form::Constraint,
        Object::ObjectOpclass | Object::ObjectOpfamily => Form::AccessMethod,
        Object::ObjectSchema => Form::Schema,
        Object::ObjectAggregate
        | Object::ObjectAttribute
        | Object::ObjectCollation
        | Object::ObjectConversion
        | Object::ObjectDomain
        | Object::ObjectFunction
        | Object::ObjectOperator
        | Object::ObjectProcedure
        | Object::ObjectRoutine
        | Object::ObjectStatisticExt
        | Object::ObjectTsconfiguration
        | Object::ObjectTsdictionary
        | Object::ObjectTsparser
        | Object::ObjectTstemplate
        | Object::ObjectType => Form::Name,
        Object::Undefined
        | Object::ObjectAccessMethod
        | Object::ObjectAmop
        | Object::ObjectAmproc
        | Object::ObjectCast
        | Object::ObjectDatabase
        | Object::ObjectDefault
        | Object::ObjectDefacl
        | Object::ObjectDomconstraint
        | Object::ObjectEventTrigger
        | Object::ObjectExtension
        | Object::ObjectFdw
        | Object::ObjectForeignServer
        | Object::ObjectLanguage
        | Object::ObjectLargeobject
        | Object::ObjectParameterAcl
        | Object::ObjectPublication
        | Object::ObjectPublicationNamespace
        | Object::ObjectPublicationRel
        | Object::ObjectRole
        | Object::ObjectSubscription
        | Object::ObjectTablespace
        | Object::ObjectTransform
        | Object::ObjectUserMapping => Form::Outside,
    }
}

/// The statement around a text of one of PostgreSQL's `reg*` types that lets its parser read it.
pub fn around(reg_type: &str) -> Option<(&'static str, &'static str)> {
    match reg_type {
        "regclass" => Some(("LOCK TABLE ", "")),
        "regtype" => Some(("SELECT NULL::", "")),
        "regproc" | "regcollation" | "regconfig" | "regdictionary" => {
            Some(("COMMENT ON COLLATION ", " IS NULL"))
        }
        "regprocedure" => Some(("COMMENT ON FUNCTION ", " IS NULL")),
        "regoper" => Some(("DROP OPERATOR ", " (NONE, int4)")),
        "regoperator" => Some(("DROP OPERATOR ", "")),
        "regnamespace" => Some(("DROP SCHEMA ", "")),
        // regrole lives in no schema; any other type's text is no name.
        _ => None,
    }
}

/// Whether an unqualified type of this name is the server's own, by the names that its grammar has no word for.
pub fn is_system_type(name: &str) -> bool {
    const TYPES: &str = "bool box bpchar bytea cidr circle cstring date float4 float8 hstore inet int2 int4 int8 json \
                         jsonb jsonpath line lseg macaddr macaddr8 money name oid path pg_lsn point polygon record \
                         text tid timestamptz timetz trigger tsquery tsvector uuid void xid xid8 xml";
    TYPES.split_whitespace().any(|known| known == name)
}

/// Functions whose first argument, a string constant, names a relation.
pub fn reads_relation(function: &str) -> bool {
    ["nextval", "currval", "setval", "to_regclass", "pg_get_serial_sequence"].contains(&function)
}
