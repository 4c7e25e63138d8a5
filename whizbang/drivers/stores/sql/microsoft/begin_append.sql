-- begin_append: draws positions and opens the insert; the driver adds rows at @first + 0, @first + 1 and
-- so on, then end_append. All of it is one batch, so one round trip; always in a transaction.
-- Locks: the counter's row, then the rows, until the transaction ends.
-- Index: the unique (stream, version) refuses a version that is taken.
SET NOCOUNT ON;
DECLARE @first bigint;
UPDATE whizbang_position SET @first = value + 1, value = value + %s WHERE id = 1;
INSERT INTO whizbang_event
    (position, stream, version, type, [schema], slice, payload, metadata, occurred_at, recorded_at)
VALUES
