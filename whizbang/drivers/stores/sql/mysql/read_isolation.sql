-- read_isolation: the session's isolation level, whose name differs between MariaDB 10 and the others.
SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')
