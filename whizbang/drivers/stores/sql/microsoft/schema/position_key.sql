-- position_key: the column that plain_position dropped.
ALTER TABLE whizbang_event ADD position bigint NOT NULL CONSTRAINT whizbang_event_position PRIMARY KEY
