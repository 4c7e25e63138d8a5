-- outbox_index: Django leaves the condition out here, so its column leads.
ALTER TABLE whizbang_outbox
    DROP INDEX whizbang_outbox_unsent,
    ADD INDEX whizbang_outbox_unsent (published_at, id)
