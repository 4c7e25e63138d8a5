-- protect_count_function: adds the rows that a statement has changed to the declared change.
-- Locks: the row of the change. Index: whizbang_history_change_open.
CREATE OR REPLACE FUNCTION whizbang_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE whizbang_history_change
    SET changed_rows = changed_rows + (SELECT count(*) FROM changed)
    WHERE open_in = pg_current_xact_id()::text;
    RETURN NULL;
END
$$
