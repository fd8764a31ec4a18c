//! Decides about one statement: carried or not, in scope or not, what is taken out of it and put into it, its names.

use pg_query::protobuf::{AlterTableStmt, Node};
use pg_query::{NodeEnum, ParserOptions};
use std::thread;

use super::known::Known;
use super::outside::{self, Sign};
use super::values::Computed;
use super::{Around, Captured, Leave, Plan, Run};
use super::{alter, kinds, lists, names, own, owned, scope, storage, tree, values};
use crate::error::{Error, Result};
use crate::pg::quote::literal;
use crate::schema::rewrite::{NameMap, Rewriter};

/// Expressions may be nested deeply; the walks are recursive.
const STACK: usize = 64 << 20;

/// Decides what becomes of a statement.
///
/// # Errors
/// What cannot be carried and must not be passed over: a text that could not be captured or that the parser refuses,
/// names that cannot be mapped. The message says what to do.
pub fn plan(captured: &Captured, around: &Around<'_>) -> Result<Plan> {
    let reason = match (kinds::by_tag(&captured.tag), captured.withheld.as_deref()) {
        (Some(reason), _) => Some(reason.to_owned()),
        (None, Some("secret")) => Some(kinds::secret(&captured.tag)),
        (None, _) => None,
    };
    if let Some(reason) = reason {
        return Ok(Plan::Leave { why: Leave::NotCarried, reason });
    }
    let text = captured.statement.as_deref().ok_or_else(|| unknown(&captured.tag))?;
    let known = Known::new(captured, around);
    let failed = |why: &str| Error::rejected(format!("a captured statement could not be read: {why}"));
    thread::scope(|scope| {
        let work = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || planned(text, &known));
        let work = work.map_err(|error| failed(&format!("no thread for it ({error})")))?;
        work.join().unwrap_or_else(|_| Err(failed("the parser gave up on it")))
    })
}

fn unknown(tag: &str) -> Error {
    Error::rejected(format!(
        "the text of a statement ({tag}) could not be captured: it was the first definition that its session changed, \
         within a function or a DO block, and the session had not loaded walferry; make the change at the destination \
         by hand, then skip it, and let walferry.enable_ddl_capture() preload the library"
    ))
}

fn planned(text: &str, known: &Known<'_>) -> Result<Plan> {
    let (node, changed) = tree::definition(known.captured, text)?;
    if let Some(reason) = own::objection(&node) {
        return Ok(Plan::Leave { why: Leave::OutOfScope, reason: reason.to_owned() });
    }
    if let Some(reason) = kinds::by_statement(&node, known.captured) {
        return Ok(Plan::Leave { why: Leave::NotCarried, reason });
    }
    let map = names::map(&node, known);
    if let Some(reason) = scope::objection(&node, known) {
        return Ok(left_but_strays(reason, known, &map));
    }
    if let Some(reason) = names::keeps_its_name(&node, known)? {
        return Ok(names::left(reason));
    }
    let escapes = text.contains('\\') && tree::options(known.captured) != ParserOptions::DEFAULT;
    let edited =
        Edited { text, escapes, node, changed, warnings: Vec::new(), computed: Vec::new(), sign: None };
    edited.plan(known, &map)
}

/// What is out of scope may have taken tables along that are not.
fn left_but_strays(reason: String, known: &Known<'_>, map: &NameMap) -> Plan {
    let strays = owned::strays(known, map);
    match strays.is_empty() {
        true => Plan::Leave { why: Leave::OutOfScope, reason },
        false => run(strays, None, vec![reason], known),
    }
}

fn run(
    statements: Vec<String>,
    outside: Option<super::Outside>,
    warnings: Vec<String>,
    known: &Known<'_>,
) -> Plan {
    Plan::Run(Run { statements, search_path: names::search_path(known), outside, warnings })
}

/// A statement on its way.
struct Edited<'a> {
    text: &'a str,
    /// A backslash in its strings may begin an escape, which the mapping of names does not know.
    escapes: bool,
    node: NodeEnum,
    changed: bool,
    warnings: Vec<String>,
    computed: Vec<Computed>,
    sign: Option<Sign>,
}

impl Edited<'_> {
    fn plan(mut self, known: &Known<'_>, map: &NameMap) -> Result<Plan> {
        if let NodeEnum::DropOwnedStmt(stmt) = &self.node {
            return drop_owned(&stmt.roles, known, map);
        }
        if kinds::makes_table_from_query(&self.node) {
            return Ok(run(Vec::new(), None, Vec::new(), known));
        }
        match lists::narrow(&mut self.node, known) {
            lists::Left::Nothing => {
                return Ok(left_but_strays(
                    "nothing that it names belongs to the task".to_owned(),
                    known,
                    map,
                ));
            }
            lists::Left::Some => self.changed = true,
            lists::Left::All => {}
        }
        self.take_out(known);
        if let NodeEnum::AlterTableStmt(AlterTableStmt { cmds, .. }) = &self.node
            && cmds.is_empty()
        {
            return Ok(self.nothing_left());
        }
        self.put_in(known, map)?;
        self.finish(known, map)
    }

    fn nothing_left(self) -> Plan {
        match self.warnings.into_iter().next() {
            Some(reason) => Plan::Leave { why: Leave::OutOfScope, reason },
            None => Plan::Leave {
                why: Leave::NotCarried,
                reason: "tablespaces are the destination's own".to_owned(),
            },
        }
    }

    fn take_out(&mut self, known: &Known<'_>) {
        self.changed |= storage::drop_tablespaces(&mut self.node);
        self.changed |= match &mut self.node {
            NodeEnum::AlterTableStmt(statement) => alter::narrow(statement, known, &mut self.warnings),
            NodeEnum::CreateStmt(create) => alter::narrow_create(create, known, &mut self.warnings),
            // No other statement has foreign keys.
            _ => false,
        };
        self.changed |= alter::allow_missing_index(&mut self.node, known);
    }

    fn put_in(&mut self, known: &Known<'_>, map: &NameMap) -> Result<()> {
        self.changed |= match &mut self.node {
            NodeEnum::AlterTableStmt(statement) => {
                let (computed, changed) = alter::fix_values(statement, known)?;
                self.computed = computed;
                changed
            }
            NodeEnum::CreateStmt(create) => {
                self.warnings.extend(values::read_anew(create));
                match create.partbound.as_mut() {
                    Some(bound) => values::fix_bound(bound, known.captured)?,
                    None => false,
                }
            }
            NodeEnum::IndexStmt(index) if index.idxname.is_empty() => {
                let objects = &known.captured.objects;
                let made = objects.iter().find(|object| object.kind == "index" && !object.dropped);
                index.idxname = made.and_then(|made| made.name.clone()).unwrap_or_default();
                !index.idxname.is_empty()
            }
            // The others come to the same at the destination.
            _ => false,
        };
        let (sign, changed) = outside::sign(&mut self.node, known, map);
        self.sign = sign;
        self.changed |= changed;
        Ok(())
    }

    fn finish(mut self, known: &Known<'_>, map: &NameMap) -> Result<Plan> {
        let rewriter = Rewriter::new(map.clone());
        let mut statements = owned::strays(known, map);
        let texts = self.texts(&rewriter)?;
        let Some(sign) = &self.sign else {
            statements.extend(texts);
            return Ok(run(statements, None, self.warnings, known));
        };
        let outside = sign.outside(texts.into_iter().next().unwrap_or_default());
        Ok(run(statements, Some(outside), self.warnings, known))
    }

    /// The statement, or the several that it has become, with the destination's names.
    fn texts(&mut self, rewriter: &Rewriter) -> Result<Vec<String>> {
        if !self.changed {
            return Ok(vec![self.mapped(self.text, rewriter)?]);
        }
        let computed = std::mem::take(&mut self.computed);
        match &self.node {
            NodeEnum::AlterTableStmt(statement) if !computed.is_empty() => {
                let statement = statement.clone();
                self.with_defaults(&statement, computed, rewriter)
            }
            // No other statement adds columns.
            node => {
                let text = match storage::own_text(self.text, node) {
                    Some(text) => text,
                    None => tree::text(node)?,
                };
                Ok(vec![self.mapped(&text, rewriter)?])
            }
        }
    }

    fn mapped(&mut self, text: &str, rewriter: &Rewriter) -> Result<String> {
        let rewritten = rewriter.rewrite(text)?;
        if rewritten.sql != text && self.escapes && text == self.text {
            return Err(Error::rejected(
                "a captured statement was written with standard_conforming_strings = off and backslashes, and has \
                 names that [[map]] changes; make the change at the destination by hand, then skip it",
            ));
        }
        let may_name = |name| format!("it may speak of {name}, which is called otherwise at the destination");
        self.warnings.extend(rewritten.unseen.into_iter().map(may_name));
        Ok(rewritten.sql)
    }

    /// The columns come with the source's values, then get the defaults that were meant. Columns that were added only
    /// if they were not there get theirs under the same condition, each command by itself.
    fn with_defaults(
        &mut self,
        alter: &AlterTableStmt,
        computed: Vec<Computed>,
        rewriter: &Rewriter,
    ) -> Result<Vec<String>> {
        if computed.iter().any(|column| column.conditional) {
            return self.one_by_one(alter, computed, rewriter);
        }
        let defaults: Vec<_> = computed.into_iter().filter_map(|column| column.afterwards).collect();
        let mut texts = vec![values::with_commands(alter, alter.cmds.clone())];
        if !defaults.is_empty() {
            texts.push(values::with_commands(alter, defaults));
        }
        texts.iter().map(|node| self.mapped(&tree::text(node)?, rewriter)).collect()
    }

    fn one_by_one(
        &mut self,
        alter: &AlterTableStmt,
        computed: Vec<Computed>,
        rewriter: &Rewriter,
    ) -> Result<Vec<String>> {
        let mut computed = computed.into_iter().peekable();
        let mut statements = Vec::new();
        for command in &alter.cmds {
            let column = values::added(command).map(|(_, column)| column.colname.clone());
            let defaults = computed.next_if(|next| Some(&next.column) == column.as_ref());
            let conditional = defaults.as_ref().is_some_and(|defaults| defaults.conditional);
            let commands = [Some(command.clone()), defaults.and_then(|defaults| defaults.afterwards)];
            let texts = commands.into_iter().flatten().map(|command| {
                let text = tree::text(&values::with_commands(alter, vec![command]))?;
                self.mapped(&text, rewriter)
            });
            let texts = texts.collect::<Result<Vec<_>>>()?;
            match (alter.relation.as_ref(), column) {
                (Some(table), Some(column)) if conditional => {
                    let table = outside::relation(&table.schemaname, &table.relname, rewriter.map());
                    statements.push(unless_there(&table, &column, &texts));
                }
                _ => statements.extend(texts),
            }
        }
        Ok(statements)
    }
}

fn unless_there(table: &str, column: &str, statements: &[String]) -> String {
    let statements: String = statements.iter().map(|text| format!("EXECUTE {}; ", literal(text))).collect();
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) \
         pg_catalog.to_regclass({}) AND attname OPERATOR(pg_catalog.=) {} AND NOT attisdropped) THEN {statements}END \
         IF; END",
        literal(table),
        literal(column)
    );
    format!("DO {}", literal(&body))
}

fn drop_owned(roles: &[Node], known: &Known<'_>, map: &NameMap) -> Result<Plan> {
    let mut statements = owned::drops(known, map)?;
    if known.database {
        statements.extend(roles.iter().filter_map(|role| owned::revoke(role, known.captured)));
    }
    if statements.is_empty() {
        return Ok(left_but_strays("nothing that it dropped belongs to the task".to_owned(), known, map));
    }
    Ok(run(statements, None, Vec::new(), known))
}
