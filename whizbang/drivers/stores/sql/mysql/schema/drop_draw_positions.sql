-- drop_draw_positions
DROP FUNCTION IF EXISTS whizbang_draw_positions
