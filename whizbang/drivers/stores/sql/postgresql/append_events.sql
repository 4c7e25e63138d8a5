-- append_events: all events of a unit of work, or none when a guarded version is not there yet.
-- A version from the future would not collide with anything and would leave a hole in its stream.
-- Arrays travel in the binary format (%b): as text, psycopg spends more on quoting documents than the server
-- on storing them.
-- Locks: row-exclusive on the table and on its sequence, until the transaction ends.
-- Index: the unique (stream, version), for the guards and to refuse versions that are taken.
INSERT INTO whizbang_event
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
SELECT
    n.stream, n.version, n.type, n.schema, n.slice, n.payload::jsonb, n.metadata::jsonb,
    n.occurred_at, clock_timestamp()
FROM unnest(
    %(streams)b::text[], %(versions)b::integer[], %(types)b::text[], %(schemas)b::smallint[],
    %(slices)b::smallint[], %(payloads)b::text[], %(metadatas)b::text[],
    %(occurred_ats)b::timestamptz[]
) WITH ORDINALITY AS
    n (stream, version, type, schema, slice, payload, metadata, occurred_at, ordinality)
WHERE NOT EXISTS (
    SELECT 1
    FROM unnest(%(guarded_streams)b::text[], %(guarded_versions)b::integer[])
        AS g (stream, version)
    WHERE NOT EXISTS (
        SELECT 1 FROM whizbang_event e WHERE e.stream = g.stream AND e.version = g.version
    )
)
ORDER BY n.ordinality
