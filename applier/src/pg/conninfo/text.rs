//! The two ways to write a connection string, read into names and values; what the values mean is decided above.

use super::KNOWN;
use crate::error::{Error, Result};
use percent_encoding::percent_decode_str;

/// Parameters as given; a later one replaces an earlier one, as in libpq.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut parameters = Self(Vec::new());
        let uri = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        match uri {
            Some(rest) => parameters.read_uri(rest)?,
            None => parameters.read_keywords(text)?,
        }
        Ok(parameters)
    }

    /// The value, unless it is absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// The value as a number that is not negative.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>> {
        let wrong =
            |text| format!("{name}={text} in the connection string is not a whole number of at least 0");
        self.get(name).map(|text| text.trim().parse().map_err(|_| Error::usage(wrong(text)))).transpose()
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        // The JDBC way that libpq takes in URIs.
        let (name, value) = match (name, value.as_str()) {
            ("ssl", "true") => ("sslmode", "require".to_owned()),
            _ => (name, value),
        };
        if !KNOWN.contains(&name) {
            return Err(unknown(name));
        }
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    /// After the scheme: `[user[:password]@][host[:port],...][/dbname][?name=value&...]`
    /// (`conninfo_uri_parse_options` of PostgreSQL's fe-connect.c).
    fn read_uri(&mut self, text: &str) -> Result<()> {
        let mut rest = text;
        if let Some(at) = text.find(['@', '/']).filter(|at| text[*at..].starts_with('@')) {
            self.read_credentials(&text[..at])?;
            rest = &text[at + 1..];
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, dbname) = rest.split_once('/').unwrap_or((rest, ""));
        self.read_hosts(hosts)?;
        if !dbname.is_empty() {
            self.set("dbname", decode(dbname)?)?;
        }
        query.split('&').filter(|pair| !pair.is_empty()).try_for_each(|pair| self.read_query(pair))
    }

    fn read_credentials(&mut self, text: &str) -> Result<()> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        self.set("user", decode(user)?)?;
        if !password.is_empty() {
            self.set("password", decode(password)?)?;
        }
        Ok(())
    }

    fn read_hosts(&mut self, text: &str) -> Result<()> {
        let mut hosts = Vec::new();
        let mut ports = Vec::new();
        for place in text.split(',') {
            let (host, port) = split_port(place)?;
            hosts.push(decode(host)?);
            ports.push(decode(port)?);
        }
        self.set("host", hosts.join(","))?;
        let no_port = ports.iter().all(String::is_empty);
        if no_port { Ok(()) } else { self.set("port", ports.join(",")) }
    }

    fn read_query(&mut self, pair: &str) -> Result<()> {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Error::usage("after the `?` of a connection URI everything is name=value, joined by `&`")
        })?;
        self.set(&decode(name)?, decode(value)?)
    }

    /// `name = value` pairs apart by space; values may stand in single quotes, `\` escapes the next character
    /// (`conninfo_parse` of PostgreSQL's fe-connect.c).
    fn read_keywords(&mut self, text: &str) -> Result<()> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=').ok_or_else(not_a_string)?;
            let name = name.trim_end();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(not_a_string());
            }
            let (value, after) = read_value(after.trim_start())?;
            self.set(name, value)?;
            rest = after.trim_start();
        }
        Ok(())
    }
}

fn not_a_string() -> Error {
    Error::usage(
        "the url is neither postgresql://user@host/dbname nor host=... dbname=... as libpq takes them; put values with spaces in single quotes",
    )
}

/// A host and its port; an IPv6 address stands in brackets.
fn split_port(place: &str) -> Result<(&str, &str)> {
    let Some(inside) = place.strip_prefix('[') else {
        return Ok(place.split_once(':').unwrap_or((place, "")));
    };
    let wrong =
        || Error::usage("an IPv6 address in the connection URI is written [address] or [address]:port");
    let (host, after) = inside.split_once(']').ok_or_else(wrong)?;
    match after.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if after.is_empty() => Ok((host, "")),
        None => Err(wrong()),
    }
}

/// One value of the keyword form, and what follows it.
fn read_value(text: &str) -> Result<(String, &str)> {
    let (quoted, mut chars) = match text.strip_prefix('\'') {
        Some(inside) => (true, inside.chars()),
        None => (false, text.chars()),
    };
    let mut value = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => value.extend(chars.next()),
            '\'' if quoted => return Ok((value, chars.as_str())),
            c if c.is_whitespace() && !quoted => return Ok((value, chars.as_str())),
            c => value.push(c),
        }
    }
    if quoted {
        Err(Error::usage("a quoted value in the connection string has no closing quote"))
    } else {
        Ok((value, ""))
    }
}

/// Percent-decoding; a `%` that begins no code is refused, as in libpq.
fn decode(text: &str) -> Result<String> {
    let wrong = || {
        Error::usage("a % in the connection URI is not followed by two hexadecimal digits; write it as %25")
    };
    let code = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(code) {
        return Err(wrong());
    }
    let bytes = percent_decode_str(text).decode_utf8();
    bytes
        .map(String::from)
        .map_err(|_| Error::usage("the connection URI is not UTF-8 once its %XX codes are decoded"))
}

fn unknown(name: &str) -> Error {
    let distance = |known: &&&str| (strsim::jaro_winkler(known, name) * 1000.0) as u32;
    let nearest = KNOWN.iter().max_by_key(distance).copied().unwrap_or_default();
    Error::usage(format!(
        "the connection string has a parameter \"{name}\" that is not known here; the nearest known one is {nearest}"
    ))
}
