-- protect_table: refuses TRUNCATE.
CREATE OR REPLACE TRIGGER {name}
    BEFORE TRUNCATE ON whizbang_event
    FOR EACH STATEMENT EXECUTE FUNCTION whizbang_refuse_change()
