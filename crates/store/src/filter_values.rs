//! The values that filters have in an account, for suggestions.

use crate::{Result, Store};
use bramble_model::query::Qualifier;
use bramble_wire::AccountId;
use sea_orm::{ConnectionTrait, Statement, Value};

impl Store {
    /// Values of a filter that an account's devices have and that begin like this: at most so many, in
    /// the order of their bytes. `is:` has none here: its values are not stored.
    ///
    /// It costs a look into the index for each value, however many devices have it.
    pub async fn filter_values(
        &self,
        account: AccountId,
        filter: Qualifier,
        prefix: &str,
        limit: u64,
    ) -> Result<Vec<String>> {
        let (table, column) = match filter {
            Qualifier::Model => ("devices", "model_filter"),
            Qualifier::Memory => ("devices", "memory_filter"),
            Qualifier::Os => ("devices", "os_filter"),
            Qualifier::Tag => ("device_tags", "tag"),
            Qualifier::Is => return Ok(Vec::new()),
        };
        // Each step takes the next value that is greater: the engines read all rows for a DISTINCT.
        let next = |from: &str| {
            format!(
                "(SELECT {column} FROM {table} WHERE account_id = $1 AND {column} {from} AND {column} < $3 \
                 ORDER BY {column} LIMIT 1)"
            )
        };
        let sql = format!(
            "WITH RECURSIVE found(value, nth) AS (SELECT {}, CAST(1 AS BIGINT) UNION ALL \
             SELECT {}, nth + 1 FROM found WHERE value IS NOT NULL AND nth < $4) \
             SELECT value FROM found WHERE value IS NOT NULL ORDER BY nth",
            next(">= $2"),
            next("> found.value")
        );
        // Nothing that begins like this comes after it with the last character there is.
        let end = format!("{prefix}\u{10ffff}");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [Value; 4] = [account.0.into(), prefix.into(), end.into(), limit.into()];
        let statement = Statement::from_sql_and_values(self.reader.get_database_backend(), sql, values);
        let rows = self.reader.query_all_raw(statement).await?;
        Ok(rows.iter().map(|row| row.try_get("", "value")).collect::<std::result::Result<_, _>>()?)
    }
}
