-- read_versions: the last version of each of some streams, null for a stream without events.
-- Locks: none that writers notice.
-- Index: the unique (stream, version), one backward step a stream.
SELECT
    s.stream,
    (SELECT max(e.version) FROM whizbang_event e WHERE e.stream = s.stream)
FROM unnest(%s::text[]) AS s (stream)
