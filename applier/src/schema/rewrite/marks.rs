//! Ties the words of a statement to their places in its tree. Each word that may have to change is replaced by a
//! mark of its own, and the marked text is parsed as well: where the second tree has a mark, the first has that
//! word. So no kind of node has to tell its position, and what a word means is the parser's decision alone.

use std::collections::HashSet;
use std::ops::Range;

use pg_query::protobuf::{KeywordKind, ScanToken, Token};
use serde_json::Value;

use super::tree;
use crate::pg::quote;

/// A word of the statement: an identifier or a string constant.
#[derive(Debug, Clone)]
struct Word {
    /// Which token it is.
    token: usize,
    /// Whether it is a string constant.
    string: bool,
    /// Whether its mark stands in the second tree.
    marked: bool,
}

/// The words of one statement, and the statement itself.
#[derive(Debug)]
pub struct Marks<'a> {
    sql: &'a str,
    tokens: Vec<ScanToken>,
    words: Vec<Word>,
    prefix: String,
}

/// A statement's tree and its twin with marks.
pub struct Trees {
    /// What the statement says.
    pub tree: Value,
    /// The same with marks.
    pub marked: Value,
}

impl<'a> Marks<'a> {
    /// Marks all string constants, and the identifiers that are among `names`.
    ///
    /// # Errors
    /// What the parser says, where it does not understand the statement.
    pub fn set(sql: &'a str, names: &HashSet<String>) -> Result<(Self, Trees), String> {
        let tree = tree::parse(sql)?;
        let tokens = pg_query::scan_tokens(sql).map_err(|error| error.to_string())?;
        let tokens: Vec<_> = tokens.into_iter().filter(|token| !is_comment(token)).collect();
        let words = (0..tokens.len()).filter_map(|token| word(sql, &tokens, token, names)).collect();
        let mut prefix = "wf_".to_owned();
        while sql.contains(&prefix) {
            prefix.push('_');
        }
        let mut marks = Self { sql, tokens, words, prefix };
        let marked = marks.marked(&tree)?;
        Ok((marks, Trees { tree, marked }))
    }

    /// The tree of the marked text. A keyword, or a name that the grammar itself reads (`PARTITION BY list`),
    /// keeps its text.
    fn marked(&mut self, tree: &Value) -> Result<Value, String> {
        if let Some(marked) = self.parse_marked(tree, |_, _| true) {
            return Ok(marked);
        }
        let harmless: Vec<bool> =
            (0..self.words.len()).map(|one| self.parse_marked(tree, |at, _| at == one).is_some()).collect();
        for (word, harmless) in self.words.iter_mut().zip(harmless) {
            word.marked = harmless;
        }
        self.parse_marked(tree, |_, word| word.marked)
            .ok_or_else(|| "its names cannot be told from its keywords".into())
    }

    fn parse_marked(&self, tree: &Value, chosen: impl Fn(usize, &Word) -> bool) -> Option<Value> {
        let changes = self.words.iter().enumerate().filter(|(at, word)| chosen(*at, word));
        let changes = changes.map(|(at, word)| {
            let mark = format!("{}{at}", self.prefix);
            let text = if word.string { quote::literal(&mark) } else { quote::ident(&mark) };
            (self.range(at), text)
        });
        let marked = tree::parse(&edit(self.sql, changes.collect())).ok()?;
        self.is_twin(tree, &marked).then_some(marked)
    }

    fn is_twin(&self, tree: &Value, marked: &Value) -> bool {
        match (tree, marked) {
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().all(|(field, value)| b.get(field).is_some_and(|b| self.is_twin(value, b)))
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.is_twin(a, b))
            }
            (Value::String(_), Value::String(_)) => tree == marked || self.at(marked).is_some(),
            _ => tree == marked,
        }
    }

    /// The word whose mark this is.
    pub fn at(&self, marked: &Value) -> Option<usize> {
        let word: usize = marked.as_str()?.strip_prefix(&self.prefix)?.parse().ok()?;
        (word < self.words.len()).then_some(word)
    }

    fn token(&self, word: usize, offset: isize) -> Option<&ScanToken> {
        self.tokens.get(self.words.get(word)?.token.checked_add_signed(offset)?)
    }

    fn is(&self, word: usize, offset: isize, wanted: Token) -> bool {
        self.token(word, offset).is_some_and(|token| token.token == wanted as i32)
    }

    /// The word as it stands in the statement.
    pub fn text(&self, word: usize) -> &str {
        &self.sql[self.range(word)]
    }

    /// Where the word stands in the statement.
    pub fn range(&self, word: usize) -> Range<usize> {
        self.token(word, 0).map_or(0..0, bytes)
    }

    /// The word and what is between it and the next one.
    pub fn up_to_next(&self, word: usize) -> Range<usize> {
        let start = self.range(word).start;
        start..self.token(word, 2).map_or(start, |next| bytes(next).start)
    }

    /// The text that gives the word another value, in the word's own way of quoting.
    pub fn quoted(&self, word: usize, value: &str) -> String {
        let old = &self.sql[self.range(word)];
        match self.words.get(word).filter(|word| word.string) {
            None => quote::ident(value),
            Some(_) => dollar_quoted(old, value).unwrap_or_else(|| quote::literal(value)),
        }
    }

    /// Identifiers with a dot behind them and none before.
    pub fn qualifiers(&self) -> impl Iterator<Item = usize> {
        let dot = Token::Ascii46;
        (0..self.words.len()).filter(move |word| {
            self.is(*word, 1, dot) && !self.is(*word, -1, dot) && !self.words[*word].string
        })
    }

    /// Whether the qualified name that begins here belongs to the command TABLE, which takes no alias.
    pub fn is_table_command(&self, schema: usize) -> bool {
        self.is(schema, -1, Token::Table)
    }

    /// Where an alias for the relation goes: behind its name, and behind `*` or the parenthesis of `ONLY (name)`.
    pub fn alias_position(&self, schema: usize, name: usize) -> usize {
        let parenthesised = self.is(schema, -1, Token::Ascii40)
            && self.is(schema, -2, Token::Only)
            && self.is(name, 1, Token::Ascii41);
        let further = parenthesised || self.is(name, 1, Token::Ascii42);
        self.token(name, isize::from(further)).map_or(0, |token| bytes(token).end)
    }
}

/// The text with pieces of it replaced; they do not overlap.
pub fn edit(sql: &str, mut changes: Vec<(Range<usize>, String)>) -> String {
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let (mut text, mut done) = (String::with_capacity(sql.len()), 0);
    for (range, new) in changes {
        text.push_str(&sql[done..range.start]);
        text.push_str(&new);
        done = range.end;
    }
    text.push_str(&sql[done..]);
    text
}

fn bytes(token: &ScanToken) -> Range<usize> {
    let at = |position: i32| usize::try_from(position).unwrap_or(0);
    at(token.start)..at(token.end)
}

fn is_comment(token: &ScanToken) -> bool {
    [Token::SqlComment as i32, Token::CComment as i32].contains(&token.token)
}

fn word(sql: &str, tokens: &[ScanToken], at: usize, names: &HashSet<String>) -> Option<Word> {
    let token = &tokens[at];
    let is = |wanted: Token| token.token == wanted as i32;
    let string = is(Token::Sconst) || is(Token::Usconst);
    let identifier = is(Token::Ident) || token.keyword_kind != KeywordKind::NoKeyword as i32;
    let wanted = string || is(Token::Uident) || identifier && names.contains(&value(&sql[bytes(token)]));
    wanted.then_some(Word { token: at, string, marked: true })
}

/// What an identifier says.
fn value(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => text.to_ascii_lowercase(),
    }
}

/// The value in the dollar quotes that the old text has, where it has such and the value does not end them.
fn dollar_quoted(old: &str, value: &str) -> Option<String> {
    let end = old.strip_prefix('$')?.find('$')?;
    let quote = &old[..end + 2];
    (!format!("{value}$").contains(quote)).then(|| format!("{quote}{value}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_read_as_the_server_reads_them() {
        assert_eq!(value("Sales"), "sales");
        assert_eq!(value("\"Sa\"\"les\""), "Sa\"les");
    }

    #[test]
    fn dollar_quotes_stay_unless_the_value_ends_them() {
        assert_eq!(dollar_quoted("$$a$$", "b").as_deref(), Some("$$b$$"));
        assert_eq!(dollar_quoted("$_$a$1$_$", "b$1").as_deref(), Some("$_$b$1$_$"));
        assert_eq!(dollar_quoted("$$a$$", "b$$"), None);
        assert_eq!(dollar_quoted("'a'", "b"), None);
    }
}
