-- append_event: one event whose version needs no guard.
-- Locks: row-exclusive on the table and on its sequence, until the transaction ends.
-- Index: the unique (stream, version) refuses a version that is taken.
INSERT INTO whizbang_event
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
VALUES
    (%s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, clock_timestamp())
