//! The functions of the event triggers. They fire within the statement: `ddl_command_start` before its work, then
//! `table_rewrite` and `sql_drop` as it goes, `ddl_command_end` after it.

use super::facts::Questions;
use super::frame::{self, Frame};
use super::objects::{self, Objects};
use super::spi::{Plan, Sight};
use super::{kind, node, session, settings, text, write};
use crate::refuse::refuse;
use pgrx::pg_guard;
use pgrx::pg_sys::errcodes::PgSqlErrorCode as Code;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Node, NodeTag, Pg_finfo_record};

/// What a statement has done.
#[derive(Debug)]
pub struct Done {
    /// What it touched.
    pub objects: Objects,
    /// What the destination cannot know, as a JSON object.
    pub facts: Vec<u8>,
}

impl Done {
    /// Of an EXPLAIN that ran the statement `tree`, of which no event trigger speaks. None if it has left no lasting table.
    ///
    /// # Safety
    /// `tree` must be a live statement that [`node::explained`] gave.
    pub unsafe fn explained(frame: &Frame, tree: *mut Node) -> Option<Self> {
        // SAFETY: the caller's promise.
        let (questions, made) = unsafe { (Questions::of(tree), node::made_relation(tree)) };
        // A table that was there already (IF NOT EXISTS) is not foretold.
        // SAFETY: the caller's promise.
        if unsafe { node::makes_table_of_query(tree) } && frame.mark.is_none() {
            return None;
        }
        session::as_owner(|| {
            let objects = objects::named(made.as_slice(), frame.tag);
            (objects.lasting > 0).then(|| Self { objects, facts: questions.answers() })
        })
        .flatten()
    }

    /// Of a statement that no event trigger speaks of.
    pub fn unknown() -> Self {
        Self { objects: Objects::default(), facts: b"{}".to_vec() }
    }
}

/// Takes this library out of what sessions of the database load.
static REMOVE_PRELOAD: Plan = Plan::new("SELECT walferry.remove_preload()", &[]);

static VERSION_1: Pg_finfo_record = Pg_finfo_record { api_version: 1 };

/// A function that PostgreSQL calls as an event trigger, and what PostgreSQL asks about it first.
macro_rules! event_trigger {
    ($name:ident, $finfo:ident, $work:ident) => {
        #[doc = "Says that the function is of PostgreSQL's version 1."]
        #[unsafe(no_mangle)]
        pub extern "C-unwind" fn $finfo() -> *const Pg_finfo_record {
            &VERSION_1
        }

        #[doc = "An event trigger. Another call of it is an ERROR.\n\n# Safety\nCalled by PostgreSQL."]
        #[pg_guard]
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $name(call: FunctionCallInfo) -> Datum {
            // SAFETY: PostgreSQL's argument.
            let tree = unsafe { statement(call) };
            // Statements of an extension's script come with the extension; REINDEX has events from 17 on.
            // SAFETY: a variable of this process; the tree lives as long as the statement runs.
            unsafe {
                if !pg_sys::creating_extension && kind::is_definition((*tree).type_) {
                    $work(tree);
                }
            }
            Datum::null()
        }
    };
}

event_trigger!(walferry_ddl_command_start, pg_finfo_walferry_ddl_command_start, start);
event_trigger!(walferry_ddl_command_end, pg_finfo_walferry_ddl_command_end, end);
event_trigger!(walferry_ddl_sql_drop, pg_finfo_walferry_ddl_sql_drop, dropped);
event_trigger!(walferry_ddl_table_rewrite, pg_finfo_walferry_ddl_table_rewrite, rewrite);

/// The statement that the event is about.
unsafe fn statement(call: FunctionCallInfo) -> *mut Node {
    // SAFETY: the caller's promise: the context is null or a node, which of this kind has a statement.
    unsafe {
        let context = (*call).context;
        if context.is_null() || (*context).type_ != NodeTag::T_EventTriggerData {
            refuse(
                Code::ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED,
                "walferry: this function is for event triggers only".to_owned(),
                "Switch the capture of DDL on with walferry.enable_ddl_capture().",
            );
        }
        (*context.cast::<pg_sys::EventTriggerData>()).parsetree
    }
}

unsafe fn start(tree: *mut Node) {
    // SAFETY: live, the caller's promise.
    unsafe {
        let hooked = frame::innermost(|frame| !std::mem::replace(&mut frame.started, true));
        if hooked != Some(true) {
            begin_unhooked(tree);
        }
        if node::drops_us(tree) {
            session::as_owner(|| REMOVE_PRELOAD.run(Sight::Present, &[]));
        }
        let indexed = node::indexed(tree);
        frame::innermost(|frame| frame.indexed = indexed);
    }
    // SAFETY: live, the caller's promise.
    unsafe { foretell(tree) };
}

/// Writes that rows will be written, if so.
///
/// # Safety
/// `tree` must be the innermost statement that runs.
pub unsafe fn foretell(tree: *mut Node) {
    // SAFETY: live, the caller's promise.
    if unsafe { node::writes_rows(tree) } {
        mark(write::begin);
    }
}

/// A statement that the hook did not see: the library came with it.
unsafe fn begin_unhooked(tree: *mut Node) {
    // SAFETY: live, the caller's promise.
    let mut frame = unsafe { Frame::new(tree, text::of_portal(tree), settings::now(), false) };
    frame.started = true;
    frame::push(frame);
}

/// The frame of the statement, which `start` has begun unless that trigger is switched off.
unsafe fn ensure(tree: *mut Node) {
    if frame::innermost(|frame| frame.started = true).is_none() {
        // SAFETY: live, the caller's promise.
        unsafe { begin_unhooked(tree) };
    }
}

/// Writes the row of the innermost statement, of which no event trigger will speak, before it is done.
pub fn tell() {
    let Some(mut frame) = frame::pop() else { return };
    session::as_owner(|| write::log(&frame, &Done::unknown()));
    frame.started = true;
    frame::push(frame);
}

/// Writes a mark of the innermost statement. The first one names them all.
fn mark(write: fn(&Frame) -> Option<i64>) {
    let Some(mut frame) = frame::pop() else { return };
    let made = session::as_owner(|| write(&frame)).flatten();
    frame.mark = frame.mark.or(made);
    frame::push(frame);
}

unsafe fn rewrite(tree: *mut Node) {
    // SAFETY: live, the caller's promise.
    unsafe { ensure(tree) };
    mark(write::rewrite);
}

unsafe fn dropped(tree: *mut Node) {
    // SAFETY: live, the caller's promise.
    unsafe { ensure(tree) };
    let indexed = frame::innermost(|frame| frame.indexed).flatten();
    let Some(dropped) = session::as_owner(|| objects::dropped(indexed)) else { return };
    frame::innermost(|frame| frame.dropped = frame.dropped.and(&dropped));
}

unsafe fn end(tree: *mut Node) {
    // SAFETY: live, the caller's promise; the statement has been run.
    let (questions, revokes, granted) = unsafe {
        ensure(tree);
        (Questions::of(tree), node::drops_owned(tree), node::granted(tree))
    };
    let Some(frame) = frame::pop() else { return };
    session::as_owner(|| {
        let done = if granted.is_empty() { objects::done() } else { objects::named(&granted, frame.tag) };
        let objects = frame.dropped.and(&done);
        if objects.lasting > 0 || revokes {
            write::log(&frame, &Done { objects, facts: questions.answers() });
        }
    });
    if frame.hooked {
        frame::push(frame);
    }
}
