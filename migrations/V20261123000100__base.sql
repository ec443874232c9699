-- Accounts, assets, where their bytes are, and the outbox.
CREATE EXTENSION IF NOT EXISTS vector;

-- DESIGN 8: the id of an update is taken after the transaction has its own id, so that the sync stream can find a floor below
-- which nothing can appear any more.
CREATE FUNCTION set_update_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    NEW.update_id := uuidv7();
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TABLE app_user (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    name          text NOT NULL,
    is_admin      boolean NOT NULL DEFAULT false,
    password_hash text,
    storage_label text UNIQUE,
    quota_bytes   bigint,
    used_bytes    bigint NOT NULL DEFAULT 0,
    avatar_color  text NOT NULL DEFAULT 'primary',
    should_change_password boolean NOT NULL DEFAULT false,
    onboarded     boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz,
    update_id     uuid NOT NULL DEFAULT uuidv7()
);
CREATE UNIQUE INDEX app_user_email ON app_user (lower(email));
-- At most one first account, whoever is faster.
CREATE UNIQUE INDEX app_user_first_admin ON app_user (is_admin) WHERE is_admin AND storage_label = 'admin';
CREATE TRIGGER app_user_update BEFORE INSERT OR UPDATE ON app_user FOR EACH ROW EXECUTE FUNCTION set_update_id();

CREATE TABLE session (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    token_hash  bytea NOT NULL UNIQUE,
    device_type text NOT NULL DEFAULT '',
    device_os   text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX session_by_user ON session (user_id);

CREATE TABLE api_key (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    name        text NOT NULL,
    key_hash    bytea NOT NULL UNIQUE,
    permissions text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_key_user ON api_key (user_id);

CREATE TABLE asset (
    id                 uuid PRIMARY KEY,
    owner_id           uuid NOT NULL REFERENCES app_user,
    checksum           bytea NOT NULL CHECK (length(checksum) = 20),
    sha256             bytea NOT NULL CHECK (length(sha256) = 32),
    type               text NOT NULL CHECK (type IN ('IMAGE', 'VIDEO', 'AUDIO', 'OTHER')),
    original_file_name text NOT NULL,
    original_path      text NOT NULL,
    mime_type          text NOT NULL,
    file_size          bigint NOT NULL,
    file_created_at    timestamptz NOT NULL,
    file_modified_at   timestamptz NOT NULL,
    -- Wall-clock time where the photo was taken: what the timeline is ordered by.
    local_date_time    timestamp NOT NULL,
    -- The wall-clock time that the path of the original was made from; another `local_date_time` means that it is to move.
    filed_under        timestamp,
    visibility         text NOT NULL DEFAULT 'timeline' CHECK (visibility IN ('timeline', 'archive', 'hidden', 'locked')),
    is_favorite        boolean NOT NULL DEFAULT false,
    duration_ms        integer,
    live_photo_video_id uuid REFERENCES asset ON DELETE SET NULL,
    thumbhash          bytea,
    width              integer,
    height             integer,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    update_id          uuid NOT NULL DEFAULT uuidv7(),
    UNIQUE (owner_id, checksum)
);
CREATE TRIGGER asset_update BEFORE INSERT OR UPDATE ON asset FOR EACH ROW EXECUTE FUNCTION set_update_id();
-- The timeline: counts by month and one month's assets both come from this index alone.
CREATE INDEX asset_timeline ON asset (owner_id, date_trunc('month', local_date_time) DESC, local_date_time DESC, id)
    WHERE deleted_at IS NULL AND visibility = 'timeline';
CREATE INDEX asset_trash ON asset (owner_id, deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX asset_sync ON asset (owner_id, update_id);
-- What a foreign key has to look up when an asset goes.
CREATE INDEX asset_live_photo ON asset (live_photo_video_id) WHERE live_photo_video_id IS NOT NULL;
-- The trash of everybody, by age.
CREATE INDEX asset_old_trash ON asset (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE asset_exif (
    asset_id           uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE,
    make               text,
    model              text,
    lens_model         text,
    exposure_time      text,
    f_number           double precision,
    focal_length       double precision,
    iso                integer,
    orientation        smallint,
    latitude           double precision,
    longitude          double precision,
    city               text,
    state              text,
    country            text,
    description        text NOT NULL DEFAULT '',
    rating             smallint,
    time_zone          text,
    date_time_original timestamptz,
    -- What somebody corrected: 'date' (with the time zone), 'place' (with the coordinates). What the camera wrote does not change
    -- that any more.
    by_hand            text[] NOT NULL DEFAULT '{}',
    exif_image_width   integer,
    exif_image_height  integer,
    projection_type    text,
    fps                double precision,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    update_id          uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER asset_exif_update BEFORE INSERT OR UPDATE ON asset_exif FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX asset_exif_city ON asset_exif (city) WHERE city IS NOT NULL;

-- What was made from an original.
CREATE TABLE asset_file (
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    kind     text NOT NULL CHECK (kind IN ('preview', 'thumbnail', 'fullsize')),
    location text NOT NULL,
    size     bigint NOT NULL,
    PRIMARY KEY (asset_id, kind)
);

-- Why a step could not do its work on an asset, for its owner to see.
CREATE TABLE asset_error (
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    step     text NOT NULL,
    message  text NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (asset_id, step)
);

-- A blob on its way into (pending), in (live), or on its way out of (garbage) the storage. Written before the bytes, so that
-- whatever the storage holds is known here.
CREATE TABLE blob_intent (
    id          uuid PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('pending', 'live', 'garbage')),
    -- The hash: uploads of the same bytes may meet at one location, whoever sends them. Of a derivative: its location.
    object_key  text NOT NULL,
    -- What the storage was asked to put, so that it can be found where `location` was never written.
    object      jsonb NOT NULL,
    -- Set when the storage has said where.
    location    text,
    owner_id    uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX blob_intent_sweep ON blob_intent (lease_until) WHERE state <> 'live';
CREATE INDEX blob_intent_location ON blob_intent (location);
CREATE INDEX blob_intent_key ON blob_intent (object_key);

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset_id   uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    trigger    text NOT NULL,
    -- An asset that nobody has been told of yet.
    is_new     boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Deletes leave rows for the sync stream.
CREATE TABLE asset_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    asset_id   uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION audit_asset_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO asset_audit (asset_id, owner_id) VALUES (OLD.id, OLD.owner_id);
    RETURN OLD;
END $$;
CREATE TRIGGER asset_delete AFTER DELETE ON asset FOR EACH ROW EXECUTE FUNCTION audit_asset_delete();

-- Facts about this installation.
CREATE TABLE system_metadata (
    key   text PRIMARY KEY,
    value jsonb NOT NULL
);
