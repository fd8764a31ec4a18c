//! The one error of the applier. Its [`Class`] decides what happens next (exit status, retry, state `failed`);
//! its message is one sentence that says what was seen and what to do. Values of rows and secrets never enter it.

use std::fmt;

/// What an error means for the task. One table from class to exit status and to retry, below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The command line or the configuration is wrong.
    Usage,
    /// A server could not be reached, or the connection to it was lost.
    Unreachable,
    /// A server answered, and what it has or says makes the task impossible until someone changes it
    /// (password, missing object, rights, slot lost ...).
    Refused,
    /// The destination rejected a change: a conflict under policy `error`, a violated constraint ...
    Rejected,
    /// A server spoke in a way that this version does not understand.
    Protocol,
    /// A signal asked us to stop before the work was done.
    Stopped,
}

impl Class {
    /// Whether the same attempt may succeed later without anyone's help.
    pub fn is_transient(self) -> bool {
        match self {
            Class::Unreachable => true,
            Class::Usage | Class::Refused | Class::Rejected | Class::Protocol | Class::Stopped => false,
        }
    }

    /// The exit status of a command that ends with this error (docs/operations.md).
    pub fn exit_status(self) -> u8 {
        match self {
            Class::Refused | Class::Rejected | Class::Protocol => 1,
            Class::Usage => 2,
            Class::Unreachable => 3,
            Class::Stopped => 143,
        }
    }
}

/// An error with its class, and the cause where there is one.
#[derive(Debug)]
pub struct Error {
    class: Class,
    message: String,
    sqlstate: Option<String>,
}

/// The result of everything in the applier that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given class; `message` is one sentence: what was seen, what to do.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), sqlstate: None }
    }

    /// Shorthand for [`Class::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// Shorthand for [`Class::Unreachable`].
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Class::Unreachable, message)
    }

    /// Shorthand for [`Class::Refused`].
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Class::Refused, message)
    }

    /// Shorthand for [`Class::Rejected`].
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(Class::Rejected, message)
    }

    /// Shorthand for [`Class::Protocol`].
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(Class::Protocol, message)
    }

    /// What the error means for the task.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The same error, its sentence followed by what to do.
    pub fn and(mut self, advice: impl fmt::Display) -> Self {
        self.message = format!("{}{advice}", self.message);
        self
    }

    /// The same error with the SQLSTATE that a server gave it.
    pub fn with_sqlstate(mut self, code: impl Into<String>) -> Self {
        self.sqlstate = Some(code.into());
        self
    }

    /// The SQLSTATE, when a server reported the error.
    pub fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }

    /// The same error, its sentence led in by what was being done.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
