//! The schema, one file per released step. A step is never edited once it was released.
//!
//! A step is SQL with four words replaced for the engine at hand, because the two engines agree on
//! everything else: `{uuid}`, `{bytes}`, `{id}` (a growing number made by the engine) and `{bool}`.

mod m0001_start;
mod m0002_two_factor;
mod m0003_organisations;
mod m0005_search;
mod m0006_management;
mod m0007_deployments;
mod m0009_accounts;
mod m0010_providers;
mod m0011_suggestions;
mod m0013_screen;
mod m0014_finding;
mod m0016_notices;
mod m0017_files;
mod m0018_watching;
mod m0019_os_filter;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

/// Brings a database to the newest schema.
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_start::Migration),
            Box::new(m0002_two_factor::Migration),
            Box::new(m0003_organisations::Migration),
            Box::new(m0005_search::Migration),
            Box::new(m0006_management::Migration),
            Box::new(m0007_deployments::Migration),
            Box::new(m0009_accounts::Migration),
            Box::new(m0010_providers::Migration),
            Box::new(m0011_suggestions::Migration),
            Box::new(m0013_screen::Migration),
            Box::new(m0014_finding::Migration),
            Box::new(m0016_notices::Migration),
            Box::new(m0017_files::Migration),
            Box::new(m0018_watching::Migration),
            Box::new(m0019_os_filter::Migration),
        ]
    }
}

/// Runs a step's statements, separated by semicolons at the end of a line.
async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    let (uuid, bytes, growing) = if postgres {
        ("UUID", "BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
    } else {
        ("BLOB", "BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT")
    };
    let sql = sql
        .replace("{uuid}", uuid)
        .replace("{bytes}", bytes)
        .replace("{id}", growing)
        .replace("{bool}", "BOOLEAN");
    for statement in sql.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
