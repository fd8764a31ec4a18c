//! What comes before what within a plan: the archive's dependencies, the refreshes of what a view reads, and what must
//! not happen too early.

use std::collections::{HashMap, HashSet};

use super::kind::Kind;
use super::step::{Part, Step, StepId};
use super::toc::Entry;

/// The archive's entries by number.
pub type ById<'a> = HashMap<i32, &'a Entry>;

/// Gives each step what comes before it: the archive's dependencies, also through what is no step.
pub fn link(steps: &mut [Step], by_id: &ById<'_>) {
    let ids: HashSet<StepId> = steps.iter().map(|step| step.id).collect();
    for step in steps.iter_mut() {
        let (entry, part) = step.id;
        match part {
            Part::Definition | Part::First => step.needs = before(entry, Part::Definition, &ids, by_id),
            Part::Refresh => step.after = before(entry, Part::Refresh, &ids, by_id),
            Part::Owner => step.needs = vec![(entry, Part::Definition)],
            Part::Schema => {}
        }
        if part == Part::Definition && ids.contains(&(entry, Part::First)) {
            step.needs.push((entry, Part::First));
        }
    }
    put_last(steps, by_id);
}

/// Event triggers come after the last refresh; and row security is switched on once foreign keys have read the
/// table, which its owner may not do any more where it is forced.
fn put_last(steps: &mut [Step], by_id: &ById<'_>) {
    let refreshes = steps.iter().filter(|step| step.id.1 == Part::Refresh).map(|step| step.id);
    let refreshes: Vec<StepId> = refreshes.collect();
    let is_kind = |step: &Step, kind: Kind| by_id.get(&step.id.0).is_some_and(|entry| entry.kind == kind);
    let mut readers: HashMap<u32, Vec<StepId>> = HashMap::new();
    for step in steps.iter().filter(|step| is_kind(step, Kind::ForeignKey)) {
        step.locks.iter().for_each(|(table, _)| readers.entry(*table).or_default().push(step.id));
    }
    for step in steps.iter_mut() {
        if is_kind(step, Kind::EventTrigger) {
            step.after.extend(&refreshes);
        } else if is_kind(step, Kind::RowSecurity) {
            let tables = step.locks.iter().filter_map(|(table, _)| readers.get(table));
            step.after.extend(tables.flatten());
        }
    }
}

/// The nearest steps of one part that an entry depends on.
fn before(id: i32, part: Part, steps: &HashSet<StepId>, by_id: &ById<'_>) -> Vec<StepId> {
    let (mut found, mut seen, mut open) = (Vec::new(), HashSet::new(), vec![id]);
    while let Some(next) = open.pop() {
        for needed in by_id.get(&next).into_iter().flat_map(|entry| &entry.dependencies) {
            if !seen.insert(*needed) {
                continue;
            }
            match steps.contains(&(*needed, part)) {
                true => found.push((*needed, part)),
                false => open.push(*needed),
            }
        }
    }
    found
}

/// What the stream finds rows by, and what that needs: `keys` begins as the former.
pub fn with_needs(mut keys: HashSet<i32>, by_id: &ById<'_>) -> HashSet<i32> {
    use super::toc::Section;
    let mut open: Vec<i32> = keys.iter().copied().collect();
    while let Some(id) = open.pop() {
        for needed in by_id.get(&id).into_iter().flat_map(|entry| &entry.dependencies) {
            let is_later = by_id.get(needed).is_some_and(|entry| entry.section == Section::PostData);
            if is_later && keys.insert(*needed) {
                open.push(*needed);
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::sample::entry;
    use crate::schema::step::Pass;

    fn step(id: i32, part: Part) -> Step {
        Step::new((id, part), format!("{id} {part:?}"), Pass::After, Vec::new())
    }

    #[test]
    fn needs_go_through_what_is_no_step() {
        let mut entries: Vec<_> = (1..=4).map(|id| entry(id, "VIEW", Some("s"), "v")).collect();
        for id in 1..4 {
            entries[id as usize].dependencies = vec![id];
        }
        let by_id: ById<'_> = entries.iter().map(|entry| (entry.id, entry)).collect();
        let mut steps = vec![step(1, Part::Definition), step(3, Part::Definition), step(4, Part::Refresh)];
        steps.push(step(1, Part::Refresh));
        steps.push(step(3, Part::First));
        link(&mut steps, &by_id);
        assert_eq!(steps[1].needs, [(1, Part::Definition), (3, Part::First)]);
        assert_eq!(steps[2].after, [(1, Part::Refresh)]);
        assert!(steps[2].needs.is_empty());
    }

    #[test]
    fn event_triggers_wait_for_refreshes_and_row_security_for_foreign_keys() {
        use crate::schema::locks::Lock;
        let entries = [
            entry(1, "EVENT TRIGGER", None, "e"),
            entry(2, "MATERIALIZED VIEW", Some("s"), "m"),
            entry(3, "FK CONSTRAINT", Some("s"), "t f"),
            entry(4, "ROW SECURITY", Some("s"), "t"),
        ];
        let by_id: ById<'_> = entries.iter().map(|entry| (entry.id, entry)).collect();
        let mut steps = vec![step(1, Part::Definition), step(2, Part::Refresh)];
        for id in [3, 4] {
            steps.push(Step { locks: vec![(7, Lock::Alone)], ..step(id, Part::Definition) });
        }
        link(&mut steps, &by_id);
        assert_eq!(steps[0].after, [(2, Part::Refresh)]);
        assert_eq!(steps[3].after, [(3, Part::Definition)]);
    }
}
