-- Albums, links, partners, and what people say about photos.

-- The id of a row's beginning, taken as set_update_id takes that of its changes: whoever is let into an album gets what was there
-- before by these (the backfill of the sync stream).
CREATE FUNCTION set_share_create_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    NEW.create_id := uuidv7();
    RETURN NEW;
END $$;

CREATE TABLE album (
    id                  uuid PRIMARY KEY,
    name                text NOT NULL,
    description         text NOT NULL DEFAULT '',
    thumbnail_asset_id  uuid,
    is_activity_enabled boolean NOT NULL DEFAULT true,
    sort_order          text NOT NULL DEFAULT 'desc' CHECK (sort_order IN ('asc', 'desc')),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    update_id           uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER album_update BEFORE INSERT OR UPDATE ON album FOR EACH ROW EXECUTE FUNCTION set_update_id();

-- Who may do what with an album. Its owner is one of them.
CREATE TABLE album_user (
    album_id   uuid NOT NULL REFERENCES album ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    create_id  uuid NOT NULL DEFAULT uuidv7(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (album_id, user_id)
);
CREATE UNIQUE INDEX album_user_owner ON album_user (album_id) WHERE role = 'owner';
CREATE INDEX album_user_user ON album_user (user_id, album_id);
CREATE TRIGGER album_user_create BEFORE INSERT ON album_user FOR EACH ROW EXECUTE FUNCTION set_share_create_id();
CREATE TRIGGER album_user_update BEFORE INSERT OR UPDATE ON album_user FOR EACH ROW EXECUTE FUNCTION set_update_id();

CREATE TABLE album_asset (
    album_id   uuid NOT NULL REFERENCES album ON DELETE CASCADE,
    asset_id   uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    create_id  uuid NOT NULL DEFAULT uuidv7(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (album_id, asset_id)
);
CREATE INDEX album_asset_asset ON album_asset (asset_id, album_id);
CREATE INDEX album_asset_sync ON album_asset (album_id, update_id);
CREATE TRIGGER album_asset_create BEFORE INSERT ON album_asset FOR EACH ROW EXECUTE FUNCTION set_share_create_id();
CREATE TRIGGER album_asset_update BEFORE INSERT OR UPDATE ON album_asset FOR EACH ROW EXECUTE FUNCTION set_update_id();

-- What stands for an album is in it: it leaves with its asset.
ALTER TABLE album ADD CONSTRAINT album_thumbnail FOREIGN KEY (id, thumbnail_asset_id)
    REFERENCES album_asset (album_id, asset_id) ON DELETE SET NULL (thumbnail_asset_id);
CREATE INDEX album_thumbnail_asset ON album (thumbnail_asset_id) WHERE thumbnail_asset_id IS NOT NULL;

-- An album is new to whoever is let in, however old it is: the sync stream has to send it again.
CREATE FUNCTION touch_album_of_new_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE album SET updated_at = clock_timestamp() WHERE id IN (SELECT album_id FROM new_rows);
    RETURN NULL;
END $$;
CREATE TRIGGER album_user_insert AFTER INSERT ON album_user REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION touch_album_of_new_users();

-- Deletes leave rows for the sync stream.

-- Users from whom an album was taken, together with it or without.
CREATE TABLE album_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    album_id   uuid NOT NULL,
    user_id    uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX album_audit_user ON album_audit (user_id, id);
-- Who left an album that others still have.
CREATE TABLE album_user_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    album_id   uuid NOT NULL,
    user_id    uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX album_user_audit_album ON album_user_audit (album_id, id);
CREATE FUNCTION audit_album_user_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO album_audit (album_id, user_id) SELECT album_id, user_id FROM old_rows;
    INSERT INTO album_user_audit (album_id, user_id)
        SELECT o.album_id, o.user_id FROM old_rows o JOIN album a ON a.id = o.album_id;
    -- An album without its owner is nobody's.
    DELETE FROM album WHERE id IN (SELECT album_id FROM old_rows WHERE role = 'owner');
    RETURN NULL;
END $$;
CREATE TRIGGER album_user_delete AFTER DELETE ON album_user REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_album_user_delete();

-- What left an album that is still there; with an album that goes, everything in it goes.
CREATE TABLE album_asset_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    album_id   uuid NOT NULL,
    asset_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX album_asset_audit_album ON album_asset_audit (album_id, id);
CREATE FUNCTION audit_album_asset_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO album_asset_audit (album_id, asset_id)
        SELECT o.album_id, o.asset_id FROM old_rows o JOIN album a ON a.id = o.album_id;
    -- Another one stands for the album; the foreign key has taken away the one that left.
    UPDATE album a SET thumbnail_asset_id = (
        SELECT m.asset_id FROM album_asset m JOIN asset s ON s.id = m.asset_id
        WHERE m.album_id = a.id AND s.deleted_at IS NULL ORDER BY s.local_date_time DESC, s.id DESC LIMIT 1)
    WHERE a.thumbnail_asset_id IS NULL AND a.id IN (SELECT album_id FROM old_rows);
    RETURN NULL;
END $$;
CREATE TRIGGER album_asset_delete AFTER DELETE ON album_asset REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION audit_album_asset_delete();

-- Whoever is named first shows everything on their timeline to the second.
CREATE TABLE partner (
    shared_by_id   uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    shared_with_id uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    -- The second wants to see it on their own timeline.
    in_timeline    boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    create_id      uuid NOT NULL DEFAULT uuidv7(),
    update_id      uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (shared_by_id, shared_with_id),
    CHECK (shared_by_id <> shared_with_id)
);
CREATE INDEX partner_shared_with ON partner (shared_with_id);
CREATE TRIGGER partner_create BEFORE INSERT ON partner FOR EACH ROW EXECUTE FUNCTION set_share_create_id();
CREATE TRIGGER partner_update BEFORE INSERT OR UPDATE ON partner FOR EACH ROW EXECUTE FUNCTION set_update_id();

CREATE TABLE partner_audit (
    id             uuid PRIMARY KEY DEFAULT uuidv7(),
    shared_by_id   uuid NOT NULL,
    shared_with_id uuid NOT NULL,
    deleted_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX partner_audit_by ON partner_audit (shared_by_id, id);
CREATE INDEX partner_audit_with ON partner_audit (shared_with_id, id);
CREATE FUNCTION audit_partner_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO partner_audit (shared_by_id, shared_with_id) VALUES (OLD.shared_by_id, OLD.shared_with_id);
    RETURN OLD;
END $$;
CREATE TRIGGER partner_delete AFTER DELETE ON partner FOR EACH ROW EXECUTE FUNCTION audit_partner_delete();

-- An address that shows an album or some assets to whoever has it.
CREATE TABLE shared_link (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    key            bytea NOT NULL UNIQUE,
    -- A word of the owner's that does the same as the key.
    slug           text UNIQUE,
    type           text NOT NULL CHECK (type IN ('ALBUM', 'INDIVIDUAL')),
    album_id       uuid REFERENCES album ON DELETE CASCADE,
    description    text,
    -- As it was given: the owner's form shows it again, beside the key.
    password       text,
    expires_at     timestamptz,
    allow_upload   boolean NOT NULL DEFAULT false,
    allow_download boolean NOT NULL DEFAULT true,
    show_metadata  boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((type = 'ALBUM') = (album_id IS NOT NULL))
);
CREATE INDEX shared_link_user ON shared_link (user_id);
CREATE INDEX shared_link_album ON shared_link (album_id) WHERE album_id IS NOT NULL;

CREATE TABLE shared_link_asset (
    link_id  uuid NOT NULL REFERENCES shared_link ON DELETE CASCADE,
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    PRIMARY KEY (link_id, asset_id)
);
CREATE INDEX shared_link_asset_asset ON shared_link_asset (asset_id);

-- Comments and likes, of an album or of one asset in it.
CREATE TABLE activity (
    id         uuid PRIMARY KEY,
    album_id   uuid NOT NULL REFERENCES album ON DELETE CASCADE,
    asset_id   uuid,
    user_id    uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    -- NULL: a like.
    comment    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What was said about an asset leaves the album with it.
    FOREIGN KEY (album_id, asset_id) REFERENCES album_asset (album_id, asset_id) ON DELETE CASCADE
);
CREATE INDEX activity_album ON activity (album_id, created_at);
CREATE INDEX activity_asset ON activity (album_id, asset_id) WHERE asset_id IS NOT NULL;
CREATE INDEX activity_user ON activity (user_id);
CREATE UNIQUE INDEX activity_like ON activity (album_id, asset_id, user_id) NULLS NOT DISTINCT WHERE comment IS NULL;
