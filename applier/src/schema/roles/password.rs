//! A password's hash on its way to the destination. It goes as a parameter that no log of ours can show, whatever
//! `RUST_LOG` says: tokio-postgres logs statements and `Debug` of their parameters.

use bytes::BytesMut;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Client;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::error::Result;
use crate::pg::{client_error, quote};

/// Lasts until the end of the transaction.
const HAND_OVER: &str = "SELECT pg_catalog.set_config('walferry.hash', $1, true)";

/// Gives a role the password of this hash, within the caller's transaction.
///
/// # Errors
/// What the server says.
pub async fn set(client: &Client, role: &str, hash: &SecretString) -> Result<()> {
    client.query_one(HAND_OVER, &[&Hash(hash)]).await.map_err(client_error)?;
    client.batch_execute(&take(role)).await.map_err(client_error)
}

fn take(role: &str) -> String {
    let body = format!(
        "BEGIN EXECUTE pg_catalog.format('ALTER ROLE %I PASSWORD %L', {}, pg_catalog.current_setting('walferry.hash')); END",
        quote::literal(role)
    );
    format!("DO {}", quote::literal(&body))
}

/// Its `Debug` is the secret's, which shows nothing.
#[derive(Debug)]
struct Hash<'a>(&'a SecretString);

impl ToSql for Hash<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.expose_secret().to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_in_no_text() {
        let hash = SecretString::from("md5abc");
        assert!(!format!("{:?}", Hash(&hash)).contains("abc"));
        assert!(
            take("o'r").starts_with(
                "DO 'BEGIN EXECUTE pg_catalog.format(''ALTER ROLE %I PASSWORD %L'', ''o''''r'', "
            )
        );
    }
}
