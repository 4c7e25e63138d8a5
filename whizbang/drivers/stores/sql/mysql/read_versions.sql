-- read_versions: last version of each stream that has events, by the unique index (stream, version).
SELECT stream, max(version) FROM whizbang_event WHERE stream IN %s GROUP BY stream
