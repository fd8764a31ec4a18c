//! The password file (<https://www.postgresql.org/docs/current/libpq-pgpass.html>): lines of
//! `hostname:port:database:username:password`, the first that fits wins.

use super::{Address, Host, SOCKET_DIRECTORY};
use crate::error::{Error, Result};
use secrecy::SecretString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The password for this place, from the named file, else `$PGPASSFILE`, else `~/.pgpass`; none if the file is
/// absent or has no line for it.
pub(super) fn look_up(
    file: Option<&Path>,
    host: &Host,
    dbname: &str,
    user: &str,
) -> Result<Option<SecretString>> {
    let Some(file) = file.map(Path::to_owned).or_else(default_file) else { return Ok(None) };
    let Ok(metadata) = fs::metadata(&file) else { return Ok(None) };
    if !metadata.is_file() {
        return Ok(None);
    }
    // libpq ignores such a file with a warning; a daemon's warning is easily missed.
    if metadata.permissions().mode() & 0o077 != 0 {
        let file = file.display();
        return Err(Error::usage(format!(
            "the password file {file} is open to others; run chmod 0600 {file}"
        )));
    }
    let text = fs::read_to_string(&file).map_err(|error| {
        Error::usage(format!("the password file {} cannot be read: {error}", file.display()))
    })?;
    Ok(find(&text, host, dbname, user).map(SecretString::from))
}

fn default_file() -> Option<PathBuf> {
    let named = std::env::var_os("PGPASSFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| std::env::home_dir().map(|home| home.join(".pgpass")))
}

fn find(text: &str, host: &Host, dbname: &str, user: &str) -> Option<String> {
    let place = match &host.address {
        Address::Tcp(name) => name.clone(),
        Address::Unix(directory) if directory == Path::new(SOCKET_DIRECTORY) => "localhost".to_owned(),
        Address::Unix(directory) => directory.display().to_string(),
    };
    let wanted = [&place, &host.port.to_string(), dbname, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line)?;
        let fits = |(field, wanted): (&Field, &&str)| field.wildcard || field.text == **wanted;
        fields[..4].iter().zip(&wanted).all(fits).then(|| fields[4].text.clone())
    })
}

struct Field {
    text: String,
    /// A bare `*`; an escaped one is a star.
    wildcard: bool,
}

/// The five fields of a line; the password goes to the end of the line, so that a stray `:` in it does no harm.
fn fields(line: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::with_capacity(5);
    let mut raw = String::new();
    let mut text = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        raw.push(c);
        match c {
            '\\' => text.extend(chars.next()),
            ':' if fields.len() < 4 => {
                fields.push(Field { wildcard: raw == "*:", text: std::mem::take(&mut text) });
                raw.clear();
            }
            c => text.push(c),
        }
    }
    fields.push(Field { text, wildcard: false });
    (fields.len() == 5).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host { address: Address::Tcp(name.into()), port }
    }

    #[test]
    fn first_line_that_fits() {
        let text = "# c\nh:5432:shop:ferry:one\n*:*:shop:ferry:two\nh:*:*:*:p\\:w\\\\:x\n";
        assert_eq!(find(text, &tcp("h", 5432), "shop", "ferry").as_deref(), Some("one"));
        assert_eq!(find(text, &tcp("k", 1), "shop", "ferry").as_deref(), Some("two"));
        assert_eq!(find(text, &tcp("h", 1), "x", "y").as_deref(), Some("p:w\\:x"));
        assert_eq!(find(text, &tcp("k", 1), "x", "y"), None);
    }

    #[test]
    fn escapes_and_sockets() {
        let socket = Host { address: Address::Unix(SOCKET_DIRECTORY.into()), port: 5432 };
        assert_eq!(find("localhost:5432:d:u:s", &socket, "d", "u").as_deref(), Some("s"));
        assert_eq!(find("\\*:5432:d:u:s", &socket, "d", "u"), None);
        assert_eq!(find("fe80\\:\\:1:5432:d:u:s", &tcp("fe80::1", 5432), "d", "u").as_deref(), Some("s"));
        assert_eq!(find("too:few:fields", &socket, "d", "u"), None);
    }

    #[test]
    fn open_to_others_is_refused() {
        let file = std::env::temp_dir().join(format!("walferry-pgpass-{}", std::process::id()));
        fs::write(&file, "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let error = look_up(Some(&file), &tcp("h", 1), "d", "u").unwrap_err().to_string();
        assert!(error.contains("chmod 0600") && !error.contains("secret"), "{error}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(look_up(Some(&file), &tcp("h", 1), "d", "u").unwrap().is_some());
        fs::remove_file(&file).unwrap();
        assert!(look_up(Some(&file), &tcp("h", 1), "d", "u").unwrap().is_none());
    }
}
