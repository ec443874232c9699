-- The sync stream: how far each session is, and from which id on a snapshot may still miss something.

CREATE TABLE sync_checkpoint (
    session_id uuid NOT NULL REFERENCES session ON DELETE CASCADE,
    -- Immich's SyncEntityType.
    type       text NOT NULL,
    -- What the client gave back: the type, the id of an update, and for a backfill how far it is.
    ack        text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, type)
);

-- The least UUIDv7 that uuidv7() can make at this time: milliseconds, then their 4096ths, then nothing.
CREATE FUNCTION sync_floor(at timestamptz) RETURNS uuid LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(us / 1000), 12, '0') || to_hex(28672 + us % 1000 * 4096 / 1000) || '8000000000000000')::uuid
    FROM (SELECT floor(extract(epoch FROM at) * 1000000)::int8 AS us) AS whole
$$;

-- DESIGN 8: whatever is committed after this has a greater id. To be called outside of a transaction that reads the stream:
-- statistics are read once for a transaction.
CREATE FUNCTION sync_horizon() RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- The clock first: whoever takes their id after this takes a greater one, though we may not see them below.
    horizon timestamptz := clock_timestamp();
BEGIN
    SELECT least(horizon, min(xact_start)) INTO horizon FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND backend_xid IS NOT NULL;
    RETURN sync_floor(horizon);
END $$;

-- What is new, without looking at what is old.
CREATE INDEX asset_update_id ON asset (update_id);
CREATE INDEX asset_exif_update_id ON asset_exif (update_id);
CREATE INDEX asset_audit_owner ON asset_audit (owner_id, id);
CREATE INDEX person_sync ON person (owner_id, update_id);
CREATE INDEX person_audit_owner ON person_audit (owner_id, id);
CREATE INDEX face_update_id ON face (update_id);
