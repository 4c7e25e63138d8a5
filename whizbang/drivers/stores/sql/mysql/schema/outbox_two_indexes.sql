-- outbox_two_indexes: undoes outbox_one_index.
ALTER TABLE whizbang_outbox
    ADD INDEX whizbang_outbox_sent (published_at)
