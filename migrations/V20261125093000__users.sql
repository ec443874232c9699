-- People of the server: what is known about each of them, their sessions, what they are told, and who is on the way out.

ALTER TABLE app_user
    -- Argon2id, as the password. It opens the locked folder.
    ADD COLUMN pin_hash text,
    -- Where the picture of them is; its intent holds it.
    ADD COLUMN profile_location text,
    ADD COLUMN profile_changed_at timestamptz NOT NULL DEFAULT now(),
    -- Everything of theirs is being deleted, and there is no way back. `deleted_at` without it: they may be restored until then.
    ADD COLUMN is_removing boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT app_user_removing CHECK (NOT is_removing OR deleted_at IS NOT NULL),
    ADD CONSTRAINT app_user_quota CHECK (quota_bytes >= 0);
CREATE INDEX app_user_sync ON app_user (update_id);
-- Those whose time has come, for the sweeper.
CREATE INDEX app_user_deleted ON app_user (deleted_at) WHERE deleted_at IS NOT NULL;

-- Deletes leave rows for the sync stream.
CREATE TABLE user_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id    uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION audit_user_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO user_audit (user_id) VALUES (OLD.id);
    RETURN OLD;
END $$;
CREATE TRIGGER user_delete AFTER DELETE ON app_user FOR EACH ROW EXECUTE FUNCTION audit_user_delete();

-- Facts about a user that clients keep too. `preferences` holds what differs from the defaults.
CREATE TABLE user_metadata (
    user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    key        text NOT NULL CHECK (key IN ('preferences', 'license', 'onboarding')),
    value      jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT now(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (user_id, key)
);
CREATE TRIGGER user_metadata_update BEFORE INSERT OR UPDATE ON user_metadata
    FOR EACH ROW EXECUTE FUNCTION set_update_id();

CREATE TABLE user_metadata_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id    uuid NOT NULL,
    key        text NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX user_metadata_audit_user ON user_metadata_audit (user_id, id);
CREATE FUNCTION audit_user_metadata_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO user_metadata_audit (user_id, key) VALUES (OLD.user_id, OLD.key);
    RETURN OLD;
END $$;
CREATE TRIGGER user_metadata_delete AFTER DELETE ON user_metadata
    FOR EACH ROW EXECUTE FUNCTION audit_user_metadata_delete();

INSERT INTO user_metadata (user_id, key, value)
SELECT id, 'onboarding', '{"isOnboarded": true}' FROM app_user WHERE onboarded;
ALTER TABLE app_user DROP COLUMN onboarded;

ALTER TABLE session
    -- The session that made this one; it takes it along when it ends.
    ADD COLUMN parent_id uuid REFERENCES session ON DELETE CASCADE,
    ADD COLUMN app_version text,
    -- Until when the PIN code holds that was given in this session.
    ADD COLUMN elevated_until timestamptz,
    -- Its client is to forget what it has and to sync from the beginning.
    ADD COLUMN is_pending_sync_reset boolean NOT NULL DEFAULT false;
CREATE INDEX session_parent ON session (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX session_expires ON session (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE notification (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    type        text NOT NULL CHECK (type IN ('JobFailed', 'BackupFailed', 'SystemMessage', 'AlbumInvite', 'AlbumUpdate',
                                              'ClusterGroupRequest', 'Custom')),
    level       text NOT NULL CHECK (level IN ('success', 'error', 'warning', 'info')),
    title       text NOT NULL,
    description text,
    data        jsonb,
    read_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX notification_user ON notification (user_id, created_at DESC, id);

-- Which versions ran here, and since when.
CREATE TABLE version_history (
    id         uuid PRIMARY KEY,
    version    text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now()
);
