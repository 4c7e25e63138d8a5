-- index_events: the index entries of a range of events, made where the events are; those that are there stay.
-- Fails for metadata without a message id, or with what is no UUID.
-- Locks: row-exclusive on the table of entries.
-- Index: the primary keys of both tables.
INSERT INTO whizbang_event_entry
    (position, message_id, correlation_id, causation_id, type, "user")
SELECT
    position,
    (metadata ->> 'message_id')::uuid,
    (metadata ->> 'correlation_id')::uuid,
    (metadata ->> 'causation_id')::uuid,
    type,
    left(coalesce(metadata ->> 'user', ''), 150)
FROM whizbang_event
WHERE position BETWEEN %s AND %s
ON CONFLICT DO NOTHING
