-- plain_position: without IDENTITY an insert that draws no position fails. A column cannot lose it, so it is
-- made anew, while the table is empty.
DECLARE @drop nvarchar(max) = (
    SELECT 'ALTER TABLE whizbang_event DROP CONSTRAINT ' + QUOTENAME(name)
    FROM sys.key_constraints
    WHERE parent_object_id = OBJECT_ID('whizbang_event') AND type = 'PK'
);
EXEC (@drop);
ALTER TABLE whizbang_event DROP COLUMN position;
