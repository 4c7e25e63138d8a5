-- copy_events: a chunk of a bulk import; positions are drawn by the column's default, in the rows' order.
-- Locks: row-exclusive on the table and on its sequence, until the transaction ends.
-- Index: the unique (stream, version) refuses a version that is taken.
COPY whizbang_event
    (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
FROM STDIN
