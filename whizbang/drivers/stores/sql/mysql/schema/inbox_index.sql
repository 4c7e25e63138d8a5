-- inbox_index: Django leaves the condition out here, so its column leads. In the order in which messages
-- are claimed, since SKIP LOCKED locks every row that the server has to sort.
ALTER TABLE whizbang_inbox
    DROP INDEX whizbang_inbox_due,
    ADD INDEX whizbang_inbox_due (service, finished_at, available_at, id)
