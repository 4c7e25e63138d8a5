-- read_versions: the last version of each of some streams, null for a stream without events.
-- Index: the unique (stream, version), one backward step a stream.
SELECT
    s.value,
    (SELECT max(e.version) FROM whizbang_event AS e WHERE e.stream = s.value)
FROM OPENJSON(%s) WITH (value nvarchar(255) '$') AS s
