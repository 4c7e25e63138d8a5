-- read_session: what would make answers wrong: dirty reads (1), snapshots (4 and 5), a collation that takes
-- "a" and "A" for one.
SELECT
    (SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID),
    CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS nvarchar(128))
