//! What the demo shows: headings and results, and one live line on a terminal; plain lines otherwise.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a plain line is printed where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Stdout, with colour and a live line where it is a terminal.
pub struct Screen {
    terminal: bool,
    colour: bool,
    shown: Option<Instant>,
}

impl Screen {
    /// Looks at what stdout is.
    pub fn new() -> Self {
        let terminal =
            std::io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        Self { terminal, colour: terminal && std::env::var_os("NO_COLOR").is_none(), shown: None }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A heading.
    pub fn title(&self, text: &str) {
        self.print(&format!("\n{}\n", self.paint("1;36", text)));
    }

    /// A step that is done.
    pub fn step(&self, text: &str) {
        self.print(&format!("  {} {text}\n", self.paint("32", "-")));
    }

    /// The state of things: the one live line, or a plain line now and then.
    pub fn live(&mut self, text: &str) {
        if self.terminal {
            self.print(&format!("\r\x1b[K  {text}"));
        } else if self.shown.is_none_or(|at| at.elapsed() >= PLAIN_EVERY) {
            self.print(&format!("  {text}\n"));
            self.shown = Some(Instant::now());
        }
    }

    /// Leaves the live line standing as it is.
    pub fn settle(&mut self, text: &str) {
        self.shown = None;
        self.live(text);
        if self.terminal {
            self.print("\n");
        }
    }

    /// A good result.
    pub fn good(&self, text: &str) {
        self.print(&format!("  {}\n", self.paint("1;32", text)));
    }

    /// A bad one.
    pub fn bad(&self, text: &str) {
        self.print(&format!("  {}\n", self.paint("1;31", text)));
    }

    /// A paragraph, broken at 100 letters.
    pub fn paragraph(&self, text: &str) {
        let mut line = String::new();
        self.print("\n");
        for word in text.split_whitespace() {
            if line.len() + word.len() >= 100 {
                self.print(&format!("{line}\n"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.print(&format!("{line}\n"));
    }

    /// A part of a line that stands out.
    pub fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A lag: green at none, yellow else.
    pub fn lag(&self, text: &str, none: bool) -> String {
        self.paint(if none { "32" } else { "33" }, text)
    }
}

/// A number with commas between the thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as a person reads them.
pub fn bytes(number: u64) -> String {
    match number {
        0..10_000 => format!("{number} B"),
        10_000..10_000_000 => format!("{} kB", number / 1000),
        _ => format!("{} MB", number / 1_000_000),
    }
}
