//! Name mapping in statements (C2): one SQL statement, as pg_dump or a user writes it, with all names that the
//! mapping changes replaced in its own text.
//!
//! `marks` finds out which word of the text is which string of the parse tree, `walk` decides by a word's place in
//! the tree (`places`, `scope`, `strings`) what it becomes, and the result is parsed again: its tree must be the old
//! one but for the names that were decided. Nothing is deparsed, so a statement without mapped names comes back
//! byte for byte, and one with mapped names keeps its form.
//!
//! What cannot be rewritten is reported in [`Rewritten::unseen`]: bodies in PL/pgSQL and other languages, strings
//! of unknown meaning, names without a schema that depend on the search_path.

mod map;
mod marks;
mod places;
mod scope;
mod strings;
#[cfg(test)]
mod tests;
pub mod tree;
mod verify;
mod walk;

pub use map::{NameMap, Qualified};

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::thread;

use crate::error::{Error, Result};
use crate::pg::quote;
use marks::Marks;
use walk::Decisions;

/// Expressions may be nested deeply; the walks are recursive.
const STACK: usize = 64 << 20;

/// A statement as it is to be run at the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// The statement.
    pub sql: String,
    /// Mapped schemas and tables, for people, that seem to be named where no parser reads: the object may need to
    /// be changed by hand.
    pub unseen: Vec<String>,
}

impl Rewritten {
    fn unchanged(sql: &str) -> Self {
        Self { sql: sql.to_owned(), unseen: Vec::new() }
    }
}

/// Rewrites statements by one mapping.
#[derive(Debug)]
pub struct Rewriter {
    map: NameMap,
    words: HashSet<String>,
    /// Those that any splitting of a text into words finds, in lower case; and the others, folded.
    plain: HashSet<String>,
    odd: Vec<String>,
    /// All, folded.
    folded: Vec<String>,
}

impl Rewriter {
    /// Follows the map.
    pub fn new(map: NameMap) -> Self {
        let words: HashSet<String> = map.words().into_iter().map(str::to_owned).collect();
        let (plain, odd): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.chars().all(inside_word));
        let plain = plain.into_iter().map(|word| word.to_ascii_lowercase()).collect();
        let odd = odd.into_iter().map(|word| fold(word)).collect();
        let folded = words.iter().map(|word| fold(word)).collect();
        Self { map, words, plain, odd, folded }
    }

    /// The map that is followed.
    pub fn map(&self) -> &NameMap {
        &self.map
    }

    /// The statement (or several) with mapped names replaced. What has none of the mapped words in its text is not
    /// even parsed.
    ///
    /// # Errors
    /// A refusal where the text has mapped words and PostgreSQL 18's grammar does not know it, or where a name
    /// cannot be replaced without changing what the statement means; the caller adds which object it is.
    pub fn rewrite(&self, sql: &str) -> Result<Rewritten> {
        if !self.may_mention(sql) {
            return Ok(Rewritten::unchanged(sql));
        }
        let failed = |why: &str| Error::refused(format!("its names cannot be mapped: {why}"));
        thread::scope(|scope| {
            let work =
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || self.rewrite_text(sql));
            let work = work.map_err(|error| failed(&format!("no thread for it ({error})")))?;
            work.join().unwrap_or_else(|_| Err("the parser gave up on it".into())).map_err(|why| failed(&why))
        })
    }

    /// Whether any mapped word may occur, however it is quoted or escaped.
    fn may_mention(&self, sql: &str) -> bool {
        let text = sql.to_ascii_lowercase();
        let escaped = text.contains("u&") && !self.map.is_empty();
        let searched = if text.contains('\\') { &self.folded } else { &self.odd };
        escaped
            || text.split(|c| !inside_word(c)).any(|word| self.plain.contains(word))
            || !searched.is_empty() && mentions(searched, &fold(&text))
    }

    fn rewrite_text(&self, sql: &str) -> Result<Rewritten, String> {
        let (marks, trees) = Marks::set(sql, &self.words)?;
        let decisions = walk::decide(self, &marks, &trees.tree, &trees.marked);
        if !decisions.stuck.is_empty() {
            return Err(format!("{} stands where it cannot be replaced", readable(&decisions.stuck)));
        }
        let new = marks::edit(sql, edits(&marks, &decisions));
        if new != sql {
            verify::verify(&marks, &decisions, &trees, &new)?;
        }
        Ok(Rewritten { sql: new, unseen: decisions.unseen.into_iter().collect() })
    }
}

/// `$` is of identifiers too, but a dollar quote may end where a name begins.
fn inside_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Lower case without what quoting adds.
fn fold(text: &str) -> String {
    text.chars().filter(|c| !['"', '\'', '\\'].contains(c)).map(|c| c.to_ascii_lowercase()).collect()
}

fn mentions(words: &[String], folded: &str) -> bool {
    words.iter().any(|word| folded.contains(word))
}

fn readable(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| quote::readable_ident(name)).collect::<Vec<_>>().join(", ")
}

fn edits(marks: &Marks, decisions: &Decisions) -> Vec<(Range<usize>, String)> {
    let values = decisions.values.iter().map(|(word, new)| (marks.range(*word), marks.quoted(*word, new)));
    let dropped = decisions.dropped.iter().map(|word| (marks.up_to_next(*word), String::new()));
    let aliases = decisions.aliases.iter().map(|(word, (schema, alias))| {
        let at = marks.alias_position(*schema, *word);
        (at..at, format!(" AS {}", quote::ident(alias)))
    });
    let qualified = decisions
        .qualified
        .iter()
        .map(|(word, (schema, name))| (marks.range(*word), quote::qualified(schema, name)));
    values.chain(dropped).chain(aliases).chain(qualified).collect()
}
