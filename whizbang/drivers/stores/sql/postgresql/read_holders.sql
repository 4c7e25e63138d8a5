-- read_holders: the transactions that drew positions and have not ended, with what the answer's
-- worth depends on: the isolation level, a standby (it sees no writers), the sequence and its cache.
-- nextval() takes the row-exclusive lock on the sequence before it draws and keeps it until the
-- commit is visible. Prepared transactions have no pid. The own transaction counts as settled.
-- Locks: all partitions of the lock manager, shared and for microseconds.
-- Index: none.
WITH log AS MATERIALIZED (
    SELECT
        pg_get_serial_sequence('whizbang_event', 'position')::regclass::oid AS sequence,
        (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
)
SELECT
    current_setting('transaction_isolation'),
    pg_is_in_recovery(),
    (SELECT s.seqcache FROM pg_sequence s WHERE s.seqrelid = log.sequence),
    ARRAY(
        SELECT l.virtualtransaction
        FROM pg_locks l
        WHERE l.locktype = 'relation'
            AND l.database = log.database
            AND l.relation = log.sequence
            AND l.mode = 'RowExclusiveLock'
            AND l.granted
            AND l.pid IS DISTINCT FROM pg_backend_pid()
    )
FROM log
