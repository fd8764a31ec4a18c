//! Which columns of a table are copied, and whether as binary or as text (rule 19).

use crate::catalog::source::{SourceColumn, SourceTable};
use crate::catalog::{Column, Table, TypeName};
use crate::error::{Error, Result};
use crate::pg::quote;

/// How the rows of a source table go into a table of the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The quoted names of the columns, the same on both sides.
    pub columns: Vec<String>,
    /// Binary COPY, else text.
    pub binary: bool,
}

/// Types whose send format is the same in all majors and everywhere: the numbers, text and its kin, bytea, date and time,
/// json, uuid, network, geometric and bit types, text search, LSNs and snapshots, the built-in ranges and multiranges.
/// Not among them: reg* types (oids), money (lc_monetary), xml (its declaration names an encoding).
const PORTABLE: &[u32] = &[
    16, 17, 18, 19, 20, 21, 23, 25, 26, 27, 28, 29, 114, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718,
    774, 829, 869, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 2970, 3220, 3614,
    3615, 3802, 3904, 3906, 3908, 3910, 3912, 3926, 4072, 4451, 4532, 4533, 4534, 4535, 4536, 5038, 5069,
];

/// Fits a source table to one of the destination; its columns are taken by name.
///
/// # Errors
/// Refused, with the name of what is missing or different at the destination.
pub fn fit(source: &SourceTable, target: &Table) -> Result<Format> {
    target.refuse_firing_rules()?;
    target.refuse_computed(source.generated.iter())?;
    let found = source.columns.iter().map(|column| target.takes(&column.name, type_name(column)));
    let found: Vec<&Column> = found.collect::<Result<_>>()?;
    if found.is_empty() && target.columns.iter().any(|column| !column.generated) {
        return Err(Error::refused(format!(
            "{} has no columns of its own, the destination table {} has some; drop them there",
            source.readable(),
            target.readable()
        )));
    }
    let binary =
        !found.is_empty() && source.columns.iter().zip(&found).all(|(column, to)| is_portable(column, to));
    let columns = source.columns.iter().map(|column| quote::ascii_ident(&column.name)).collect();
    Ok(Format { columns, binary })
}

fn type_name(column: &SourceColumn) -> TypeName<'_> {
    TypeName {
        oid: column.type_oid,
        schema: &column.type_schema,
        name: &column.type_name,
        modifier: column.type_modifier,
    }
}

/// An enum travels as its label; an array carries the oid of its elements' type.
fn is_portable(column: &SourceColumn, to: &Column) -> bool {
    let same = column.base_type_oid == to.base_type_oid;
    let scalar = same && PORTABLE.contains(&column.base_type_oid);
    let array = same && PORTABLE.contains(&column.element_oid);
    scalar || array || (column.is_enum && to.is_enum)
}

impl Format {
    /// The columns as `(a, b)`, or nothing if there are none.
    pub fn list(&self) -> String {
        if self.columns.is_empty() { String::new() } else { format!(" ({})", self.names()) }
    }

    /// The columns as `a, b`.
    pub fn names(&self) -> String {
        self.columns.join(", ")
    }

    /// What follows WITH in a COPY, further options included.
    pub fn options(&self, further: &str) -> String {
        format!("(FORMAT {}{further})", if self.binary { "binary" } else { "text" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{column, source, target};
    use super::*;

    #[test]
    fn rule_19_one_column_that_is_not_portable_makes_the_table_text() {
        let both = [("id", 20), ("note", 25)];
        assert!(fit(&source(&both), &target(&both)).unwrap().binary);
        for other in [790, 24, 2205, 142, 16_500] {
            let columns = [("id", 20), ("note", other)];
            assert!(!fit(&source(&columns), &target(&columns)).unwrap().binary, "{other}");
        }
    }

    #[test]
    fn enums_and_arrays_of_built_in_types_are_binary() {
        let mut from = column("a", 16_400);
        let mut to = target(&[("a", 16_900)]).columns.remove(0);
        assert!(!is_portable(&from, &to));
        (from.is_enum, to.is_enum) = (true, true);
        assert!(is_portable(&from, &to));
        (from.base_type_oid, from.element_oid, from.is_enum, to.base_type_oid) = (1007, 23, false, 1007);
        assert!(is_portable(&from, &to));
        from.element_oid = 16_400;
        assert!(!is_portable(&from, &to));
    }

    #[test]
    fn columns_are_taken_by_name_and_what_is_missing_is_named() {
        let format =
            fit(&source(&[("b", 25), ("a", 20)]), &target(&[("a", 20), ("b", 25), ("more", 25)])).unwrap();
        assert_eq!(format.list(), " (\"b\", \"a\")");
        assert_eq!(format.options(", FREEZE"), "(FORMAT binary, FREEZE)");
        let missing = fit(&source(&[("a", 20), ("c", 25)]), &target(&[("a", 20)])).unwrap_err();
        assert!(missing.to_string().contains("has no column c"), "{missing}");
        let other = fit(&source(&[("a", 20)]), &target(&[("a", 23)])).unwrap_err();
        assert!(other.to_string().contains("has the type"), "{other}");
    }
}
