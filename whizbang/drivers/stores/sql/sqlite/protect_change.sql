-- protect_change: refuses events' UPDATEs, or their DELETEs, unless a declared change is open, and counts
-- its rows.
-- There is one writer at a time, so an open change is that of the transaction that asks. INSERT OR
-- REPLACE is not seen: SQLite runs no triggers for the rows that it replaces.
-- Locks: none of its own. Index: whizbang_history_change_open.
CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON whizbang_event
BEGIN
    SELECT RAISE(ABORT, 'whizbang events are immutable: whizbang.operations.history.rewriting() says who changes them and why')
    WHERE NOT EXISTS (SELECT 1 FROM whizbang_history_change WHERE open_in = '1');
    UPDATE whizbang_history_change SET changed_rows = changed_rows + 1 WHERE open_in = '1';
END
