-- read_drawn: the counter as the transaction's snapshot shows it; takes no lock.
SELECT value FROM whizbang_position WHERE id = 1
