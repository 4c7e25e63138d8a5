-- protect_count: counts UPDATEs, or DELETEs, by statement, since a row that is updated a million times in
-- one transaction grows slow. One trigger cannot have both.
CREATE OR REPLACE TRIGGER {name}
    AFTER {verb} ON whizbang_event REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION whizbang_count_change()
