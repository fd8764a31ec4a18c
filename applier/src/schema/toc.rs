//! Reads the head and the table of contents of pg_dump's custom archive, versions 1.12 to 1.16 of the format (pg_dump 13
//! to 18): every definition with its owner, its dependencies and the object's oid at the source. Follows `ReadHead` and
//! `ReadToc` of PostgreSQL's pg_backup_archiver.c. Every length is checked; nothing is trusted.

use super::kind::Kind;
use crate::error::{Error, Result};

/// What pg_dump says of a database.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    /// The definitions, in an order in which they can be made.
    pub entries: Vec<Entry>,
}

/// Which part of a dump an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Follows the object that it is about: comments, grants.
    None,
    /// Before the rows.
    PreData,
    /// Rows.
    Data,
    /// After the rows.
    PostData,
}

/// One definition.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number within the archive; [`Entry::dependencies`] are such numbers.
    pub id: i32,
    /// The catalog of the object (`pg_class` is 1259 ...), or 0.
    pub catalog: u32,
    /// The object's oid at the source, or 0.
    pub oid: u32,
    /// The name, without the schema.
    pub tag: String,
    /// What it is.
    pub kind: Kind,
    /// When it is to be made.
    pub section: Section,
    /// The statements that make it.
    pub definition: String,
    /// The statement that would remove it.
    pub drop_statement: String,
    /// Its schema, if it lives in one.
    pub schema: Option<String>,
    /// Its tablespace, unless it is the default.
    pub tablespace: Option<String>,
    /// The access method of a table.
    pub access_method: Option<String>,
    /// `pg_class.relkind`, if the archive has it (17 and later).
    pub relkind: Option<char>,
    /// The role that owns it; empty if it has no owner of its own.
    pub owner: String,
    /// The entries that must be there before it.
    pub dependencies: Vec<i32>,
    /// All text was UTF-8; what was not has replacement characters and must not be run.
    pub is_utf8: bool,
}

impl Archive {
    /// Reads an archive; what follows the table of contents is left alone.
    ///
    /// # Errors
    /// A protocol error for anything that is not such an archive, or that ends early.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { rest: bytes, minor: 0, integer: 0, offset: 0, is_utf8: true };
        reader.head()
    }
}

/// What is left to read, and how the archive writes numbers.
struct Reader<'a> {
    rest: &'a [u8],
    minor: u8,
    integer: usize,
    offset: usize,
    is_utf8: bool,
}

/// The archive's number for the custom format.
const CUSTOM: u8 = 1;
/// An entry is never shorter than this many bytes, whatever the archive says of their number.
const LEAST_ENTRY: usize = 16;

impl<'a> Reader<'a> {
    fn head(&mut self) -> Result<Archive> {
        if self.bytes(5)? != b"PGDMP" {
            return Err(Error::protocol("pg_dump did not write an archive in its custom format"));
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        if major != 1 || !(12..=16).contains(&minor) {
            return Err(Error::protocol(format!(
                "pg_dump wrote an archive of version {major}.{minor}, and this walferry reads 1.12 to 1.16; name a \
                 pg_dump of 13 to 18 in [copy] pg_dump"
            )));
        }
        self.minor = minor;
        self.integer = usize::from(self.byte()?);
        self.offset = usize::from(self.byte()?);
        if !(1..=8).contains(&self.integer) || self.byte()? != CUSTOM {
            return Err(damaged());
        }
        self.compression()?;
        // The date that the archive was made on: seven numbers.
        for _ in 0..7 {
            self.number()?;
        }
        // The database, the version of its server, and that of pg_dump.
        for _ in 0..3 {
            self.text()?;
        }
        Ok(Archive { entries: self.entries()? })
    }

    fn compression(&mut self) -> Result<()> {
        if self.minor >= 15 { self.byte().map(|_| ()) } else { self.number().map(|_| ()) }
    }

    fn entries(&mut self) -> Result<Vec<Entry>> {
        let count = usize::try_from(self.number()?).map_err(|_| damaged())?;
        let mut entries = Vec::with_capacity(count.min(self.rest.len() / LEAST_ENTRY));
        for _ in 0..count {
            entries.push(self.entry()?);
        }
        Ok(entries)
    }

    fn entry(&mut self) -> Result<Entry> {
        self.is_utf8 = true;
        let id = self.small()?;
        let _has_rows = self.number()?;
        let (catalog, oid) = (self.oid()?, self.oid()?);
        let tag = self.text()?.unwrap_or_default();
        let kind = Kind::of(&self.text()?.unwrap_or_default());
        let section = self.section()?;
        let definition = self.text()?.unwrap_or_default();
        let drop_statement = self.text()?.unwrap_or_default();
        let _copy_statement = self.text()?;
        let schema = self.filled()?;
        let tablespace = self.filled()?;
        let access_method = if self.minor >= 14 { self.filled()? } else { None };
        let relkind = if self.minor >= 16 { self.relkind()? } else { None };
        let owner = self.text()?.unwrap_or_default();
        let _with_oids = self.text()?;
        let dependencies = self.dependencies()?;
        self.bytes(1 + self.offset)?;
        Ok(Entry {
            id,
            catalog,
            oid,
            tag,
            kind,
            section,
            definition,
            drop_statement,
            schema,
            tablespace,
            access_method,
            relkind,
            owner,
            dependencies,
            is_utf8: self.is_utf8,
        })
    }

    fn section(&mut self) -> Result<Section> {
        Ok(match self.number()? {
            1 => Section::None,
            2 => Section::PreData,
            3 => Section::Data,
            4 => Section::PostData,
            _ => return Err(damaged()),
        })
    }

    fn relkind(&mut self) -> Result<Option<char>> {
        let code = u8::try_from(self.number()?).map_err(|_| damaged())?;
        Ok((code != 0).then_some(char::from(code)))
    }

    /// A list of numbers written as text, ended by an absent one.
    fn dependencies(&mut self) -> Result<Vec<i32>> {
        let mut ids = Vec::new();
        while let Some(text) = self.text()? {
            ids.push(text.parse().map_err(|_| damaged())?);
        }
        Ok(ids)
    }

    fn oid(&mut self) -> Result<u32> {
        self.text()?.unwrap_or_default().parse().map_err(|_| damaged())
    }

    fn filled(&mut self) -> Result<Option<String>> {
        Ok(self.text()?.filter(|text| !text.is_empty()))
    }

    /// Text with its length before it; a negative length means none.
    fn text(&mut self) -> Result<Option<String>> {
        let length = self.number()?;
        if length < 0 {
            return Ok(None);
        }
        let bytes = self.bytes(usize::try_from(length).map_err(|_| damaged())?)?;
        let text = String::from_utf8_lossy(bytes);
        self.is_utf8 &= matches!(text, std::borrow::Cow::Borrowed(_));
        Ok(Some(text.into_owned()))
    }

    fn small(&mut self) -> Result<i32> {
        i32::try_from(self.number()?).map_err(|_| damaged())
    }

    /// A sign and as many bytes as the head said, the least significant first.
    fn number(&mut self) -> Result<i64> {
        let negative = self.byte()? != 0;
        let bytes = self.bytes(self.integer)?;
        let value = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        let value = i64::try_from(value).map_err(|_| damaged())?;
        Ok(if negative { -value } else { value })
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn damaged() -> Error {
    Error::protocol("the archive that pg_dump wrote cannot be read; it may have ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(value: i64) -> Vec<u8> {
        let mut bytes = vec![u8::from(value < 0)];
        bytes.extend_from_slice(&(value.unsigned_abs() as u32).to_le_bytes());
        bytes
    }

    fn text(value: &str) -> Vec<u8> {
        [number(value.len() as i64), value.as_bytes().to_vec()].concat()
    }

    /// An archive of pg_dump 15 with one table.
    fn archive() -> Vec<u8> {
        let none = number(-1);
        let mut bytes = [b"PGDMP".as_slice(), &[1, 14, 0, 4, 8, 1], &number(-1)].concat();
        (0..7).for_each(|_| bytes.extend(number(1)));
        ["shop", "15.18", "15.18"].iter().for_each(|word| bytes.extend(text(word)));
        bytes.extend(number(1));
        bytes.extend(
            [number(214), number(0), text("1259"), text("16385"), text("orders"), text("TABLE")].concat(),
        );
        let statement = "CREATE TABLE public.orders (id integer);\n";
        bytes
            .extend([number(2), text(statement), text("DROP TABLE public.orders;\n"), none.clone()].concat());
        bytes.extend([text("public"), text(""), text("heap"), text("ferry"), text("false")].concat());
        bytes.extend([text("6"), text("7"), none].concat());
        bytes.extend([3; 9]);
        bytes
    }

    #[test]
    fn an_entry_is_read_whole() {
        let archive = Archive::read(&archive()).unwrap();
        let table = &archive.entries[0];
        assert_eq!((table.id, table.catalog, table.oid), (214, 1259, 16385));
        assert_eq!(
            (table.tag.as_str(), &table.kind, table.section),
            ("orders", &Kind::Table, Section::PreData)
        );
        assert_eq!((table.schema.as_deref(), table.owner.as_str()), (Some("public"), "ferry"));
        assert_eq!((table.access_method.as_deref(), table.tablespace.as_deref()), (Some("heap"), None));
        assert_eq!(table.dependencies, [6, 7]);
        assert!(table.is_utf8);
    }

    #[test]
    fn an_archive_that_ends_early_is_an_error() {
        let whole = archive();
        for length in 0..whole.len() {
            assert!(Archive::read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn other_versions_and_formats_are_refused() {
        for (at, value) in [(0, b'X'), (5, 2), (6, 11), (6, 17), (8, 0), (10, 3)] {
            let mut bytes = archive();
            bytes[at] = value;
            assert!(Archive::read(&bytes).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Archive::read(&bytes);
            let _ = Archive::read(&[b"PGDMP\x01\x0e\x00\x04\x08\x01".as_slice(), &bytes].concat());
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0usize..400, value: u8) {
            let mut bytes = archive();
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = Archive::read(&bytes);
        }
    }
}
