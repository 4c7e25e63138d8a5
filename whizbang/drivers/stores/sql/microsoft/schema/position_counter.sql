-- position_counter: the last position that was drawn.
CREATE TABLE whizbang_position (id smallint PRIMARY KEY, value bigint NOT NULL)
