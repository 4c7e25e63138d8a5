-- append_events: the head of the statement; the driver adds the rows. The first row's position is
-- LAST_INSERT_ID(whizbang_draw_positions(count)), which draws all of them and becomes the statement's
-- insert id; the others are LAST_INSERT_ID() + 1, + 2 and so on.
-- Locks: the counter's row, then the rows, until the transaction ends.
-- Index: the unique (stream, version) refuses a version that is taken.
INSERT INTO whizbang_event
    (position, stream, version, type, `schema`, slice, payload, metadata, occurred_at, recorded_at)
VALUES
