-- protect_refuse_function: ends a statement that changes events, unless a declared change is open in
-- this very transaction. A transaction's id is never given out again, so nothing leaks to whoever
-- gets the connection next. An empty table may be truncated: there is no history in it.
-- Locks: none. Index: whizbang_history_change_open.
CREATE OR REPLACE FUNCTION whizbang_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM whizbang_history_change WHERE open_in = pg_current_xact_id()::text
    ) THEN
        RETURN CASE TG_OP WHEN 'UPDATE' THEN NEW ELSE OLD END;
    END IF;
    IF TG_OP = 'TRUNCATE' AND NOT EXISTS (SELECT FROM whizbang_event) THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'whizbang events are immutable: whizbang.operations.history.rewriting() says who changes them and why'
        USING ERRCODE = 'restrict_violation';
END
$$
