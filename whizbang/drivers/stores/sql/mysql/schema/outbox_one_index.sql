-- outbox_one_index: whizbang_outbox_unsent begins with published_at here, so it serves the cleanup too.
ALTER TABLE whizbang_outbox
    DROP INDEX whizbang_outbox_sent
