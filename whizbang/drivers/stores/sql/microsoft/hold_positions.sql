-- hold_positions: waits for open appenders and lets nobody draw a position until the transaction ends.
SELECT value FROM whizbang_position WITH (UPDLOCK, HOLDLOCK) WHERE id = 1
