//! How a task is: lag, the report that the daemon writes once a second, and the commands that show it.

mod lag;
mod output;
mod report;
mod status;

pub use output::Output;
pub use report::{Positions, Reporter, phase};
pub use status::{conflicts, status};
