//! Ownership and privileges as steps: who may have what at the destination, and in which order objects change hands.

use super::grants;
use super::kind::Kind;
use super::order::ById;
use super::owner;
use super::roles_at::Losses;
use super::scope::Ends;
use super::step::{Part, Pass, Step};
use super::toc::Entry;
use crate::error::Result;

/// A role and why it cannot have what it had.
type Lost = (String, String);

/// The steps that give objects to their owners.
pub fn owners<'a>(
    ends: &Ends<'_>,
    carried: impl Iterator<Item = &'a Entry>,
    losses: &mut Losses,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for entry in carried {
        let Some(sql) = owner::statement(entry) else { continue };
        let object = &ends.names[&entry.id];
        match ends.roles.objection_as_owner(&entry.owner) {
            Some(reason) => losses.add(&entry.owner, "owner of", reason, object),
            None if is_used_as_it_is(ends, entry) => {}
            None => {
                // Event triggers are made last of all.
                let pass = if entry.kind == Kind::EventTrigger { Pass::Last } else { Pass::Grants };
                let (id, object) = ((entry.id, Part::Owner), format!("OWNER OF {object}"));
                steps.push(Step::new(id, object, pass, vec![ends.renaming.sql(&sql)?.sql]));
            }
        }
    }
    Ok(steps)
}

/// A schema that the destination has already keeps its owner.
fn is_used_as_it_is(ends: &Ends<'_>, entry: &Entry) -> bool {
    entry.kind == Kind::Schema && ends.is_present(entry)
}

/// The grants whose roles can be used, and what the others lose.
pub fn grants(ends: &Ends<'_>, entry: &Entry) -> Result<(Vec<String>, Vec<Lost>)> {
    let (mut statements, mut lost) = (Vec::new(), Vec::new());
    for grant in grants::grants(&entry.definition)? {
        match objections(ends, &grant.roles) {
            objections if objections.is_empty() => statements.push(ends.renaming.sql(&grant.sql)?.sql),
            objections => lost.extend(objections),
        }
    }
    lost.dedup();
    Ok((statements, lost))
}

/// The roles of a policy that cannot be used.
pub fn policy(ends: &Ends<'_>, entry: &Entry) -> Result<Vec<Lost>> {
    Ok(objections(ends, &grants::policy_roles(&entry.definition)?))
}

fn objections(ends: &Ends<'_>, roles: &[String]) -> Vec<Lost> {
    let objection = |role: &String| Some((role.clone(), ends.roles.objection(role)?));
    roles.iter().filter_map(objection).collect()
}

/// Puts owners and grants in order: schemas with their grants first, because an owner of what is in them needs
/// CREATE there; then the other owners, then the other grants.
pub fn order(steps: &mut [Step], by_id: &ById<'_>) {
    steps.sort_by_key(|step| match (step.pass, step.id) {
        (Pass::Grants, (id, Part::Owner)) => by_id.get(&id).map_or(9, |entry| owner::rank(&entry.kind)),
        (Pass::Grants, (id, _)) if by_id.get(&id).is_some_and(|entry| entry.tag.starts_with("SCHEMA ")) => 1,
        (Pass::Grants, _) => 10,
        (Pass::Before | Pass::Keys | Pass::After | Pass::Last, _) => 0,
    });
}
