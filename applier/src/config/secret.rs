//! Where passwords come from besides the url: the environment, a file, or systemd's credentials. They are read once
//! and never shown.

use crate::error::{Error, Result};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The password from the environment, else from the file, else none.
///
/// # Errors
/// A usage error when the file cannot be read, is empty, or is open to others.
pub(super) fn find(
    environment: Option<String>,
    file: Option<&Path>,
    folder: &Path,
) -> Result<Option<SecretString>> {
    match (environment.filter(|text| !text.is_empty()), file) {
        (Some(text), _) => Ok(Some(SecretString::from(text))),
        (None, Some(file)) => {
            let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            read(file, folder, credentials.as_deref()).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// A relative name is a systemd credential if there is one of that name, else a file beside the configuration.
fn read(file: &Path, folder: &Path, credentials: Option<&Path>) -> Result<SecretString> {
    let credential = credentials.filter(|_| file.is_relative()).map(|directory| directory.join(file));
    match credential.filter(|path| path.exists()) {
        // systemd guards its folder.
        Some(path) => content(&path),
        None => {
            let path = folder.join(file);
            check_private(&path)?;
            content(&path)
        }
    }
}

fn check_private(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Error::usage(format!("{path} is open to others; run chmod 0600 {path}")))
}

fn content(path: &Path) -> Result<SecretString> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => {
            Err(Error::usage(format!("{} is empty; the password stands on its first line", path.display())))
        }
        password => Ok(SecretString::from(password)),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!("{} cannot be read: {error}", path.display()))
}

/// For serde: a text that is a secret from the first moment.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn file(folder: &Path, name: &str, text: &str, mode: u32) {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn sources_in_order() {
        let folder = std::env::temp_dir().join(format!("walferry-secret-{}", std::process::id()));
        let credentials = folder.join("credentials");
        fs::create_dir_all(&credentials).unwrap();
        file(&folder, "pw", "from file\n", 0o600);
        file(&folder, "open", "x", 0o644);
        file(&folder, "empty", "\n", 0o600);
        file(&credentials, "cred", "from systemd", 0o440);

        let text = |found: Result<SecretString>| found.unwrap().expose_secret().to_owned();
        assert_eq!(text(read(Path::new("pw"), &folder, None)), "from file");
        assert_eq!(text(read(Path::new("cred"), &folder, Some(&credentials))), "from systemd");
        assert_eq!(text(read(Path::new("pw"), &folder, Some(&credentials))), "from file");
        let environment = find(Some("env".into()), Some(Path::new("pw")), &folder).unwrap().unwrap();
        assert_eq!(environment.expose_secret(), "env");
        for wrong in ["open", "empty", "absent"] {
            assert!(read(Path::new(wrong), &folder, None).is_err(), "{wrong}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
