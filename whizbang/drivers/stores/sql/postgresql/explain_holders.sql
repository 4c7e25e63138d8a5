-- explain_holders: who holds the end of the log back, for people.
-- Locks: all partitions of the lock manager, shared and for microseconds.
-- Index: none.
WITH log AS MATERIALIZED (
    SELECT
        pg_get_serial_sequence('whizbang_event', 'position')::regclass::oid AS sequence,
        (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
)
SELECT
    l.pid, l.virtualtransaction, a.application_name, a.state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 1000)
FROM log
JOIN pg_locks l
    ON l.locktype = 'relation'
    AND l.database = log.database
    AND l.relation = log.sequence
    AND l.mode = 'RowExclusiveLock'
    AND l.granted
    AND l.pid IS DISTINCT FROM pg_backend_pid()
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
ORDER BY a.xact_start
