-- plain_position: without AUTO_INCREMENT an insert that draws no position fails instead of being skipped.
ALTER TABLE whizbang_event MODIFY position bigint NOT NULL
