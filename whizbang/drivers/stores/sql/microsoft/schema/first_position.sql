-- first_position: the counter's one row.
INSERT INTO whizbang_position (id, value) VALUES (1, 0)
