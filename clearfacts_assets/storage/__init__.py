"""Our own database: tables, one repository a subject, migrations. Dagster's storage is Dagster's."""
