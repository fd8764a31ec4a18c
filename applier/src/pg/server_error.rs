//! What a server's ErrorResponse says, and the one table from SQLSTATE to what it means for the task.
//! DETAIL is kept for `walferry_state.conflicts` alone: it may hold values of rows, so it never enters an [`Error`].

use crate::error::{Class, Error};
use bytes::Bytes;

/// The fields of an ErrorResponse or NoticeResponse
/// (<https://www.postgresql.org/docs/current/protocol-error-fields.html>).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// ERROR, FATAL, PANIC, or a notice's level; never translated.
    pub severity: String,
    /// The SQLSTATE, five characters.
    pub code: String,
    /// The primary message.
    pub message: String,
    /// DETAIL: may hold values of rows.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
    /// The schema that the error is about.
    pub schema: Option<String>,
    /// The table that the error is about.
    pub table: Option<String>,
    /// The column that the error is about.
    pub column: Option<String>,
    /// The constraint that the error is about.
    pub constraint: Option<String>,
    /// CONTEXT: may hold values of rows (COPY names the line).
    pub where_: Option<String>,
}

impl ServerError {
    /// Reads the body of an ErrorResponse or NoticeResponse. Text that is not UTF-8 (the session may speak the
    /// source's encoding) is read with replacement characters; fields that this version does not know are left out.
    pub fn parse(body: &Bytes) -> Self {
        let mut error = Self::default();
        for field in body.split(|byte| *byte == 0) {
            if let Some((kind, text)) = field.split_first() {
                error.set(*kind, String::from_utf8_lossy(text).into_owned());
            }
        }
        error
    }

    fn set(&mut self, kind: u8, text: String) {
        match kind {
            // 'S' is translated; 'V' (9.6 and later) follows it and is not.
            b'S' | b'V' => self.severity = text,
            b'C' => self.code = text,
            b'M' => self.message = text,
            b'D' => self.detail = Some(text),
            b'H' => self.hint = Some(text),
            b's' => self.schema = Some(text),
            b't' => self.table = Some(text),
            b'c' => self.column = Some(text),
            b'n' => self.constraint = Some(text),
            b'W' => self.where_ = Some(text),
            // Positions, the internal query, the type's name and the place in the server's code.
            _ => {}
        }
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            severity: error.severity().to_owned(),
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            column: owned(error.column()),
            constraint: owned(error.constraint()),
            where_: owned(error.where_()),
        }
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        let mut message = format!("{} ({})", error.message, error.code);
        if let Some(hint) = &error.hint {
            message.push_str("; ");
            message.push_str(hint);
        }
        Error::new(class(&error.code), message).with_sqlstate(error.code)
    }
}

/// What may be told of an error that a row met: the server's own words where they name objects, else nothing. Data exceptions
/// (class 22) quote values, and what a function or trigger of the user raises (P0001, or a SQLSTATE of its own) may say
/// anything.
pub fn tellable<'a>(sqlstate: &str, said: &'a str) -> Option<&'a str> {
    let group = sqlstate.get(..2).unwrap_or_default();
    const OWN: &[&str] = &[
        "08", "0A", "21", "23", "25", "26", "28", "2B", "2F", "34", "3B", "3D", "3F", "40", "42", "44", "53",
        "54", "55", "57", "58", "F0", "WF", "XX",
    ];
    let own = OWN.contains(&group);
    own.then_some(said)
}

/// What a SQLSTATE means for the task. Single codes first, then PostgreSQL's classes
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>); anything unknown is a refusal, so that
/// nothing is retried for ever without anyone's knowledge.
pub fn class(sqlstate: &str) -> Class {
    match sqlstate {
        // The server or its connections end or begin; a person or a timeout ended the statement.
        "57P01" | "57P02" | "57P03" | "57P05" | "57014" => Class::Unreachable,
        // idle_in_transaction_session_timeout, transaction_timeout.
        "25P03" | "25P04" => Class::Unreachable,
        // lock_not_available; the server's disk failed once (58030 io_error).
        "55P03" | "58030" => Class::Unreachable,
        // The slot or another object is in use: its holder may go away, but only the caller knows.
        "55006" => Class::Refused,
        _ => class_of_group(sqlstate.get(..2).unwrap_or_default()),
    }
}

fn class_of_group(group: &str) -> Class {
    match group {
        // Connection exception; transaction rollback (serialization, deadlock); insufficient resources.
        "08" | "40" | "53" => Class::Unreachable,
        // The row does not fit: cardinality, data exception, integrity constraint, triggered action,
        // WITH CHECK OPTION, RAISE in a trigger's function.
        "21" | "22" | "23" | "27" | "44" | "09" | "P0" => Class::Rejected,
        // Routines that triggers and defaults call.
        "38" | "39" | "2F" => Class::Rejected,
        // Rights, names, features, states, limits: someone has to change something.
        "0A" | "0L" | "0P" | "28" | "2B" | "3D" | "3F" | "42" | "54" | "55" | "57" | "58" | "F0" | "HV" => {
            Class::Refused
        }
        // Transaction and cursor states that only our own mistake leads to; internal errors of the server.
        "25" | "2D" | "24" | "26" | "34" | "3B" | "0B" | "XX" => Class::Refused,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(fields: &[(u8, &str)]) -> Bytes {
        let mut body = Vec::new();
        for (kind, text) in fields {
            body.push(*kind);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        Bytes::from(body)
    }

    #[test]
    fn reads_the_fields() {
        let error = ServerError::parse(&body(&[
            (b'S', "FEHLER"),
            (b'V', "ERROR"),
            (b'C', "23505"),
            (b'M', "duplicate key"),
            (b'D', "Key (id)=(1) exists"),
            (b't', "orders"),
            (b'n', "orders_pkey"),
            (b'L', "12"),
        ]));
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("ERROR", "23505"));
        assert_eq!(error.table.as_deref(), Some("orders"));
        assert_eq!(error.constraint.as_deref(), Some("orders_pkey"));
        assert_eq!(error.detail.as_deref(), Some("Key (id)=(1) exists"));
    }

    #[test]
    fn detail_never_reaches_the_message() {
        let error = ServerError {
            code: "23505".into(),
            message: "duplicate key".into(),
            detail: Some("secret".into()),
            hint: Some("look".into()),
            ..Default::default()
        };
        let error = Error::from(error);
        assert_eq!(error.to_string(), "duplicate key (23505); look");
        assert_eq!(error.sqlstate(), Some("23505"));
        assert_eq!(error.class(), Class::Rejected);
    }

    #[test]
    fn classes() {
        let table: &[(Class, &[&str])] = &[
            (Class::Unreachable, &["08006", "08001", "57P01", "57P02", "57P03", "53300", "53100", "53200"]),
            (Class::Unreachable, &["40001", "40P01", "57014", "25P03", "55P03"]),
            (Class::Rejected, &["23505", "23503", "23502", "23514", "22P02", "22003", "P0001", "44000"]),
            (Class::Refused, &["28P01", "28000", "3D000", "42501", "42P01", "42704", "0A000", "55000"]),
            (Class::Refused, &["55006", "42601", "57P04", "58P01", "XX000", "F0000", "25006", "", "?"]),
        ];
        for (class_, codes) in table {
            for code in *codes {
                assert_eq!(class(code), *class_, "{code}");
            }
        }
    }
}
