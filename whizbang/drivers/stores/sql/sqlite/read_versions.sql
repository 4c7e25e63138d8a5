-- read_versions: the last version of each of some streams, null for a stream without events.
-- Locks: shared, for the statement.
-- Index: the unique (stream, version), one backward step a stream.
SELECT
    s.value,
    (SELECT max(e.version) FROM whizbang_event e WHERE e.stream = s.value)
FROM json_each(%s) AS s
