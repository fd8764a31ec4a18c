//! How a task is: lag, the report that the daemon writes once a second, the progress of a copy, and the commands that
//! show all of it.

mod bars;
mod conflicts;
mod ddl;
mod lag;
mod output;
mod report;
mod status;
mod tally;
mod text;

pub use bars::{LogWriter, Progress};
pub use conflicts::conflicts;
pub use ddl::ddl;
pub use output::Output;
pub use report::{Positions, Reporter, phase};
pub use status::status;
