//! Sealed tokens of destinations.

use async_trait::async_trait;
use causeway_core::{
    clock::Timestamp,
    store::{Credential, Credentials, StoreError},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{SqliteStore, base::rows::ms};

#[async_trait]
impl Credentials for SqliteStore {
    async fn credential(&self, name: &str) -> Result<Option<Credential>, StoreError> {
        let name = name.to_owned();
        self.readers
            .read(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT sealed, version FROM credential WHERE name = ?1")?;
                let found = statement.query_row([name], |row| {
                    Ok(Credential {
                        sealed: row.get(0)?,
                        version: row.get::<_, i64>(1)?.unsigned_abs(),
                    })
                });
                Ok(found.optional()?)
            })
            .await
    }

    async fn replace_credential(
        &self,
        name: &str,
        version: u64,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let version = version.cast_signed();
        self.writer()?
            .write(1, move |tx| {
                let sql = if version == 0 {
                    "INSERT INTO credential (name, version, sealed, at) VALUES (?1, ?2 + 1, ?3, ?4) ON CONFLICT DO NOTHING"
                } else {
                    "UPDATE credential SET version = ?2 + 1, sealed = ?3, at = ?4 WHERE name = ?1 AND version = ?2"
                };
                let changed = tx
                    .connection
                    .prepare_cached(sql)?
                    .execute(params![name, version, sealed, ms(now)])?;
                Ok(changed > 0)
            })
            .await
    }

    async fn remove_credential(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.writer()?
            .write(1, move |tx| {
                let removed = tx
                    .connection
                    .prepare_cached("DELETE FROM credential WHERE name = ?1")?
                    .execute([&name])?;
                Ok(removed > 0)
            })
            .await
    }
}
