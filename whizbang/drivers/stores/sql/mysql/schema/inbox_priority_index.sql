-- inbox_priority_index: as inbox_index, with the priority before the due time.
ALTER TABLE whizbang_inbox
    DROP INDEX whizbang_inbox_due,
    ADD INDEX whizbang_inbox_due (service, finished_at, priority, available_at, id)
