-- protect_rows: refuses the first row that an UPDATE or DELETE meets; one that meets none may pass.
CREATE OR REPLACE TRIGGER {name}
    BEFORE UPDATE OR DELETE ON whizbang_event
    FOR EACH ROW EXECUTE FUNCTION whizbang_refuse_change()
