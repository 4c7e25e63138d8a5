-- exact_text: names compare byte by byte; the server's default takes "a", "A" and "a " for one.
ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}
