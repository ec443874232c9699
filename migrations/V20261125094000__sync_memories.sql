-- What is new in memories, for the sync stream.
CREATE INDEX memory_asset_update_id ON memory_asset (update_id);
