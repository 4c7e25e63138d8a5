-- protect_change: refuses events' UPDATEs, or their DELETEs, unless a declared change is open in this
-- connection, and counts its rows. TRUNCATE runs no triggers; it needs the privilege DROP, which a web process needs
-- only while it migrates. 4025 is a failed constraint, so that drivers raise an IntegrityError.
-- Locks: the row of the change, or the gap where it would be. Index: whizbang_history_change_open.
CREATE TRIGGER {name} BEFORE {verb} ON whizbang_event FOR EACH ROW
BEGIN
    UPDATE whizbang_history_change SET changed_rows = changed_rows + 1
    WHERE open_in = CAST(CONNECTION_ID() AS CHAR);
    IF ROW_COUNT() = 0 THEN
        SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 4025, MESSAGE_TEXT =
            'whizbang events are immutable: whizbang.operations.history.rewriting() says who changes them and why';
    END IF;
END
