//! A copy as people watch it: bars on a terminal, lines in the log elsewhere. Both go to standard error. Log lines
//! stand above the bars and never tear them: the log is written through [`LogWriter`].

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use super::tally::{Pace, Tally, bytes, of_bytes, rows};
use crate::state::tables::{TableProgress, TableState};

/// So many tables have a bar at a time.
const MOST: usize = 8;
/// A line on the whole so often where there is no terminal.
const EVERY: Duration = Duration::from_secs(5);
/// With more tables than this, only the large ones get a line of their own when they are done.
const FEW: usize = 40;
/// Large: so many bytes.
const LARGE: u64 = 16_000_000;

/// The bars of this process, once there are any.
static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// Where the log goes: standard error, above the bars where there are some. For `with_writer` of tracing-subscriber,
/// which writes a line at a time.
#[derive(Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write_all(line).map(|()| line.len());
        BARS.get().map_or_else(write, |bars| bars.suspend(write))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The progress of one copy. [`Progress::show`] is called a few times a second.
pub struct Progress {
    names: HashMap<u32, String>,
    pace: Pace,
    view: View,
}

enum View {
    Bars(Bars),
    Lines(Lines),
}

struct Bars {
    all: &'static MultiProgress,
    total: ProgressBar,
    tables: HashMap<u32, (ProgressBar, Pace)>,
}

struct Lines {
    told: Option<Instant>,
    states: HashMap<u32, TableState>,
}

impl Progress {
    /// For tables by their oid at the source, with the names to show.
    pub fn new(names: impl IntoIterator<Item = (u32, String)>) -> Self {
        let terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let view = if terminal { View::Bars(Bars::new()) } else { View::Lines(Lines::new()) };
        Self { names: names.into_iter().collect(), pace: Pace::default(), view }
    }

    /// Shows how far the tables are.
    pub fn show(&mut self, tables: &[TableProgress]) {
        let (now, sum) = (Instant::now(), Tally::of(tables));
        self.pace.sample(now, sum.bytes.0);
        let look = Look { names: &self.names, tables, sum, pace: &self.pace, now };
        match &mut self.view {
            View::Bars(bars) => bars.show(&look),
            View::Lines(lines) => lines.show(&look),
        }
    }

    /// The rows are copied: the bars go, one line on the whole stays.
    pub fn finish(&mut self, tables: &[TableProgress]) {
        self.show(tables);
        if let View::Bars(bars) = &mut self.view {
            bars.clear();
        }
        tracing::info!("{}", Tally::of(tables).line(&Pace::default(), Instant::now()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let View::Bars(bars) = &mut self.view {
            bars.clear();
        }
    }
}

/// What there is to show at one moment.
struct Look<'a> {
    names: &'a HashMap<u32, String>,
    tables: &'a [TableProgress],
    sum: Tally,
    pace: &'a Pace,
    now: Instant,
}

impl Look<'_> {
    fn name(&self, oid: u32) -> String {
        self.names.get(&oid).cloned().unwrap_or_else(|| oid.to_string())
    }

    fn line(&self) -> String {
        self.sum.line(self.pace, self.now)
    }
}

/// A bar of `width` letters and what stands beside it.
fn style(width: usize) -> ProgressStyle {
    let template = format!("{{prefix:30!}} [{{bar:{width}}}] {{msg}}");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl Bars {
    fn new() -> Self {
        let all = BARS.get_or_init(MultiProgress::new);
        let total = all.add(ProgressBar::new(0).with_style(style(20)).with_prefix("all tables"));
        Self { all, total, tables: HashMap::new() }
    }

    fn show(&mut self, look: &Look) {
        let copying = |table: &&TableProgress| table.state == TableState::Copying;
        let busy: HashMap<u32, &TableProgress> =
            look.tables.iter().filter(copying).map(|t| (t.source_oid, t)).collect();
        self.remove(|oid| !busy.contains_key(oid));
        for table in look.tables.iter().filter(copying) {
            if self.tables.len() < MOST && !self.tables.contains_key(&table.source_oid) {
                self.add(table.source_oid, look.name(table.source_oid));
            }
        }
        for (oid, (bar, pace)) in &mut self.tables {
            let Some(table) = busy.get(oid) else { continue };
            let (rows, bytes) = (rows(table), bytes(table));
            pace.sample(look.now, bytes.0);
            let text =
                format!("{} rows; {}{}", HumanCount(rows.0), of_bytes(bytes), pace.text(look.now, bytes));
            set(bar, bytes, text);
        }
        set(&self.total, look.sum.bytes, look.line());
    }

    fn add(&mut self, oid: u32, name: String) {
        let bar = ProgressBar::new(0).with_style(style(20)).with_prefix(name);
        self.tables.insert(oid, (self.all.insert_before(&self.total, bar), Pace::default()));
    }

    fn remove(&mut self, gone: impl Fn(&u32) -> bool) {
        for (_, (bar, _)) in self.tables.extract_if(|oid, _| gone(oid)) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }

    fn clear(&mut self) {
        self.remove(|_| true);
        self.total.finish_and_clear();
        self.all.remove(&self.total);
    }
}

fn set(bar: &ProgressBar, (done, total): (u64, u64), text: String) {
    bar.set_length(total);
    bar.set_position(done);
    bar.set_message(text);
}

impl Lines {
    fn new() -> Self {
        Self { told: None, states: HashMap::new() }
    }

    fn show(&mut self, look: &Look) {
        for table in self.finished(look.tables) {
            let (rows, bytes) = (HumanCount(rows(table).0), BinaryBytes(bytes(table).0));
            tracing::info!("copied {}: {rows} rows, {bytes}", look.name(table.source_oid));
        }
        if self.told.is_none_or(|at| look.now.duration_since(at) >= EVERY) {
            // The first look has no pace yet, and says nothing that the log has not said.
            if self.told.is_some() {
                tracing::info!("{}", look.line());
            }
            self.told = Some(look.now);
        }
    }

    /// The tables worth a line that were seen unfinished and are copied now.
    fn finished<'a>(&mut self, tables: &'a [TableProgress]) -> Vec<&'a TableProgress> {
        let few = tables.len() <= FEW;
        let first = self.told.is_none();
        let mut finished = Vec::new();
        for table in tables {
            let before = self.states.insert(table.source_oid, table.state);
            let news = before.map_or(!first, |before| before != table.state);
            if news && table.state == TableState::Copied && (few || bytes(table).0 >= LARGE) {
                finished.push(table);
            }
        }
        finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, state: TableState, bytes: i64) -> TableProgress {
        TableProgress { source_oid: oid, state, bytes, ..TableProgress::default() }
    }

    #[test]
    fn each_of_a_few_tables_has_a_line_when_it_is_done() {
        let mut lines = Lines { told: Some(Instant::now()), states: HashMap::new() };
        let (copying, copied) = (TableState::Copying, TableState::Copied);
        assert!(lines.finished(&[table(1, copying, 5), table(2, TableState::Pending, 0)]).is_empty());
        let finished = [table(1, copied, 9), table(2, copying, 0)];
        assert_eq!(lines.finished(&finished).len(), 1);
        assert!(lines.finished(&finished).is_empty(), "once is enough");
    }

    #[test]
    fn of_many_tables_only_the_large_ones_have_a_line() {
        let mut lines = Lines::new();
        let all = |state, bytes| (1..=2000).map(|oid| table(oid, state, bytes)).collect::<Vec<_>>();
        lines.finished(&all(TableState::Copying, 0));
        let mut done = all(TableState::Copied, 100);
        done[7].bytes = 20_000_000;
        let finished: Vec<u32> = lines.finished(&done).iter().map(|table| table.source_oid).collect();
        assert_eq!(finished, [8]);
    }

    #[test]
    fn what_was_copied_before_we_looked_is_no_news() {
        let mut lines = Lines::new();
        assert!(lines.finished(&[table(1, TableState::Copied, 5)]).is_empty());
    }
}
