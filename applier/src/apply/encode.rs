//! From steps to the statements of a group: COPY for many inserts, arrays for the rest (rule 10).

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;
use walferry_wire::tuple::Cell;

use super::fold::{Run, Step};
use super::group::{Group, Kind, Purpose};
use super::model::{Change, Row};
use super::params;
use super::statement;
use super::target::{Access, Key, Target, pick};
use crate::error::{Error, Result};

/// From so many rows on, COPY is cheaper than arrays.
const COPY_ROWS: usize = 24;
/// A row of so many bytes goes by COPY, whose messages may be cut anywhere.
const COPY_BYTES: usize = 1 << 20;

/// Columns of an UPDATE.
pub type Columns = SmallVec<[u16; 16]>;

/// Adds the statements of a batch: its steps, then a look after what the server does not enforce (rule 12).
pub fn batch(group: &mut Group<'_>, steps: &[Step]) -> Result<()> {
    part(group, steps)?;
    targets(steps).into_iter().try_for_each(|target| probe(group, target, steps))
}

/// Adds the statements of a part of a transaction: its steps, then a look at the definitions of their tables.
pub fn part(group: &mut Group<'_>, steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|step| self::step(group, step))?;
    targets(steps).into_iter().try_for_each(|target| definition(group, target))
}

/// The targets that steps write to, each once.
pub fn targets(steps: &[Step]) -> Vec<&Arc<Target>> {
    let mut found: Vec<&Arc<Target>> = Vec::new();
    for step in steps {
        match step {
            Step::Run(Run { target, .. }) | Step::Image { target, .. } => {
                if !found.iter().any(|known| known.id == target.id) {
                    found.push(target);
                }
            }
            Step::Truncate { .. } => {}
        }
    }
    found
}

/// Adds the statements of a step.
fn step(group: &mut Group<'_>, step: &Step) -> Result<()> {
    match step {
        Step::Run(run) => self::run(group, run),
        Step::Image { target, change } => image(group, target, change),
        Step::Truncate { statement } => group.once(statement, std::iter::empty()),
    }
}

fn run(group: &mut Group<'_>, run: &Run) -> Result<()> {
    delete(group, run, &run.deletes, run.deletes.len())?;
    delete(group, run, &run.absent, 0)?;
    update(group, run)?;
    insert(group, run)
}

fn delete(group: &mut Group<'_>, run: &Run, keys: &[Key], expected: usize) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let target = &run.target;
    let parts = statement::key_parts(target);
    let arrays = params::keys(target, &statement::key_columns(parts), keys.iter().map(|key| &key[..]));
    let purpose = Purpose::Target(target.id, Kind::Delete);
    counted(group, purpose, || statement::delete(target, parts), &arrays, expected)
}

/// The updates, those that set the same columns in one statement.
fn update(group: &mut Group<'_>, run: &Run) -> Result<()> {
    let target = &run.target;
    if run.sets_key
        && statement::key_parts(target).iter().any(|part| target.columns[part.column].always_identity)
    {
        return Err(needs_order());
    }
    for (set, rows) in by_columns(run) {
        let parts = statement::key_parts(target);
        let mut arrays =
            params::keys(target, &statement::key_columns(parts), rows.iter().map(|(key, _)| &key[..]));
        arrays.extend(params::columns(target, &set, rows.iter().map(|(_, row)| row)));
        let purpose = Purpose::Target(target.id, Kind::Update(set.clone()));
        counted(group, purpose, || statement::update(target, parts, &set), &arrays, rows.len())?;
    }
    Ok(())
}

fn by_columns(run: &Run) -> Vec<(Columns, Vec<&(Key, Row)>)> {
    let mut places: FxHashMap<Columns, usize> = FxHashMap::default();
    let mut groups: Vec<(Columns, Vec<&(Key, Row)>)> = Vec::new();
    for update in &run.updates {
        let set = sent(&run.target, &update.1, run.sets_key);
        let at = *places.entry(set.clone()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, rows)) => rows.push(update),
            None => groups.push((set, vec![update])),
        }
    }
    groups
}

/// The columns that an update sets: all that were sent, the key only if it changes.
pub fn sent(target: &Target, row: &Row, with_key: bool) -> Columns {
    let is_key = |at: usize| statement::key_parts(target).iter().any(|part| part.column == at);
    let cells = row.cells().enumerate();
    let wanted = cells.filter(|(at, cell)| *cell != Cell::Unchanged && (with_key || !is_key(*at)));
    wanted.map(|(at, _)| at as u16).collect()
}

fn insert(group: &mut Group<'_>, run: &Run) -> Result<()> {
    let (target, rows) = (&run.target, &run.inserts);
    if rows.is_empty() {
        return Ok(());
    }
    let large = || rows.iter().any(|row| row.bytes().len() > COPY_BYTES);
    if target.copyable && (rows.len() >= COPY_ROWS || large()) {
        return group.copy(Purpose::Target(target.id, Kind::Copy), || statement::copy(target), rows.iter());
    }
    let all = target.all();
    let arrays = params::columns(target, &all, rows.iter());
    counted(
        group,
        Purpose::Target(target.id, Kind::Insert),
        || statement::insert(target),
        &arrays,
        rows.len(),
    )
}

/// Asserts that the table still is what the target was made for.
fn definition(group: &mut Group<'_>, target: &Target) -> Result<()> {
    if target.columns.is_empty() {
        return Ok(());
    }
    let purpose = Purpose::Target(target.id, Kind::Definition);
    counted(group, purpose, || statement::definition(target), &[], target.columns.len())
}

/// Looks after the deferrable constraints that nobody enforces for us.
fn probe(group: &mut Group<'_>, target: &Arc<Target>, steps: &[Step]) -> Result<()> {
    for (number, parts) in target.probes.iter().enumerate() {
        let of_row = |row: &Row| pick(row, parts.iter().map(|part| part.column));
        let rows = steps.iter().flat_map(|step| written(step, target.id));
        let sent =
            |row: &&Row| parts.iter().all(|part| row.cells().nth(part.column) != Some(Cell::Unchanged));
        let keys: Vec<Key> = rows.filter(sent).map(of_row).collect();
        if keys.is_empty() {
            continue;
        }
        let arrays = params::keys(target, &statement::key_columns(parts), keys.iter().map(|key| &key[..]));
        let purpose = Purpose::Target(target.id, Kind::Probe(number));
        counted(group, purpose, || statement::probe(target, parts), &arrays, 0)?;
    }
    Ok(())
}

/// The rows that a step leaves in a target.
fn written(step: &Step, target: usize) -> Vec<&Row> {
    match step {
        Step::Run(run) if run.target.id == target => {
            run.updates.iter().map(|(_, row)| row).chain(&run.inserts).collect()
        }
        Step::Image { target: of, change: Change::Update { new, .. } } if of.id == target => vec![new],
        Step::Run(_) | Step::Image { .. } | Step::Truncate { .. } => Vec::new(),
    }
}

fn counted(
    group: &mut Group<'_>,
    purpose: Purpose,
    statement: impl FnOnce() -> statement::Statement,
    arrays: &[Vec<u8>],
    expected: usize,
) -> Result<()> {
    let expected = (expected as i64).to_be_bytes();
    let values = arrays.iter().map(|array| Some(&array[..])).chain([Some(&expected[..])]);
    group.run(purpose, statement, values)
}

fn image(group: &mut Group<'_>, target: &Arc<Target>, change: &Change) -> Result<()> {
    let Access::Image(columns) = &target.access else { return Err(needs_order()) };
    let one = 1_i64.to_be_bytes();
    match change {
        Change::Update { old, new, .. } => {
            let set = sent(target, new, true);
            if set.iter().any(|at| target.columns[*at as usize].always_identity) {
                return Err(needs_order());
            }
            let old = target.before(old, Some(new))?;
            let values = image_values(&old, columns);
            let values = values.chain(image_values(new, &widen(&set)).collect::<Vec<_>>());
            let purpose = Purpose::Target(target.id, Kind::UpdateImage(set.clone()));
            let statement = || statement::update_image(target, columns, &set);
            group.run(purpose, statement, values.chain([Some(&one[..])]))
        }
        Change::Delete { old, .. } => {
            let old = target.before(old, None)?;
            let values = image_values(&old, columns).chain([Some(&one[..])]);
            let purpose = Purpose::Target(target.id, Kind::DeleteImage);
            group.run(purpose, || statement::delete_image(target, columns), values)
        }
        Change::Insert { .. } | Change::Truncate { .. } | Change::Erase { .. } => Err(needs_order()),
    }
}

fn widen(set: &[u16]) -> Vec<usize> {
    set.iter().map(|at| *at as usize).collect()
}

/// The given cells of a row as parameters.
pub fn image_values<'a>(row: &'a Row, columns: &[usize]) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
    let cells: Vec<Cell<'a>> = row.cells().collect();
    let value = move |at: &usize| match cells.get(*at) {
        Some(Cell::Value(value)) => Some(*value),
        Some(Cell::Null | Cell::Unchanged) | None => None,
    };
    columns.iter().map(value).collect::<Vec<_>>().into_iter()
}

/// Not a failure of the row: only ordered mode can write it (rule 11).
fn needs_order() -> Error {
    Error::rejected("this change can only be written by itself, row by row")
}
