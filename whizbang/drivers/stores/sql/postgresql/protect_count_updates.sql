-- protect_count_updates: counts by statement, since a row that is updated a million times in one
-- transaction grows slow.
CREATE OR REPLACE TRIGGER whizbang_event_count_updates
    AFTER UPDATE ON whizbang_event REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION whizbang_count_change()
