-- protect_count_deletes: see protect_count_updates; one trigger cannot have both.
CREATE OR REPLACE TRIGGER whizbang_event_count_deletes
    AFTER DELETE ON whizbang_event REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION whizbang_count_change()
