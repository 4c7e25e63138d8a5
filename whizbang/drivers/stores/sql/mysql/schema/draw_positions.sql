-- draw_positions: moves the counter and gives the first of the positions drawn. The row stays locked until
-- the transaction ends. With the caller's rights, so that a dump can be restored by another user.
CREATE FUNCTION whizbang_draw_positions(wanted int) RETURNS bigint
    MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    UPDATE whizbang_position SET value = LAST_INSERT_ID(value + wanted) WHERE id = 1;
    IF ROW_COUNT() <> 1 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'whizbang_position has lost its row';
    END IF;
    RETURN LAST_INSERT_ID() - wanted + 1;
END
