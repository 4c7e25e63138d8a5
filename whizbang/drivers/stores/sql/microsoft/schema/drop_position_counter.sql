-- drop_position_counter
DROP TABLE IF EXISTS whizbang_position
