-- one_open_rebuild: the model's conditional constraint; a unique index lets any number of nulls in.
ALTER TABLE whizbang_rebuild
    ADD COLUMN open_projection varchar(200)
        GENERATED ALWAYS AS (CASE WHEN status IN ('requested', 'running') THEN projection END) VIRTUAL,
    ADD UNIQUE INDEX whizbang_rebuild_one_open (open_projection)
