-- What an owner does with assets: stacks, tags, memories, duplicates, keys and values of clients, edits.

-- Several takes of one moment, shown as one of them.
CREATE TABLE stack (
    id               uuid PRIMARY KEY,
    owner_id         uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    -- Checked at the commit: `mend_stack` finds another when this one goes.
    primary_asset_id uuid NOT NULL REFERENCES asset DEFERRABLE INITIALLY DEFERRED,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    update_id        uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER stack_update BEFORE INSERT OR UPDATE ON stack FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX stack_sync ON stack (owner_id, update_id);
CREATE UNIQUE INDEX stack_primary ON stack (primary_asset_id);
ALTER TABLE asset ADD COLUMN stack_id uuid REFERENCES stack ON DELETE SET NULL;
CREATE INDEX asset_stack ON asset (stack_id) WHERE stack_id IS NOT NULL;

CREATE TABLE stack_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    stack_id   uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX stack_audit_sync ON stack_audit (owner_id, id);
CREATE FUNCTION audit_stack_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO stack_audit (stack_id, owner_id) VALUES (OLD.id, OLD.owner_id);
    RETURN OLD;
END $$;
CREATE TRIGGER stack_delete AFTER DELETE ON stack FOR EACH ROW EXECUTE FUNCTION audit_stack_delete();

-- An asset of a stack goes, or goes into the trash: another one is shown in its place. Of a stack of fewer than two nothing is left.
CREATE FUNCTION mend_stack() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    next uuid;
BEGIN
    PERFORM FROM stack WHERE id = OLD.stack_id FOR UPDATE;
    IF TG_OP = 'DELETE' AND (SELECT count(*) < 2 FROM asset WHERE stack_id = OLD.stack_id) THEN
        DELETE FROM stack WHERE id = OLD.stack_id;
        RETURN NULL;
    END IF;
    -- Not one that is just being deleted: whoever deletes it waits for this stack.
    SELECT id INTO next FROM asset WHERE stack_id = OLD.stack_id
        ORDER BY deleted_at IS NOT NULL, file_created_at, id LIMIT 1 FOR KEY SHARE SKIP LOCKED;
    UPDATE stack SET primary_asset_id = next WHERE id = OLD.stack_id AND primary_asset_id = OLD.id AND primary_asset_id <> next;
    RETURN NULL;
END $$;
CREATE TRIGGER asset_stack_delete AFTER DELETE ON asset
    FOR EACH ROW WHEN (OLD.stack_id IS NOT NULL) EXECUTE FUNCTION mend_stack();
CREATE TRIGGER asset_stack_trash AFTER UPDATE ON asset
    FOR EACH ROW WHEN (OLD.stack_id IS NOT NULL AND NEW.stack_id = OLD.stack_id
        AND OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION mend_stack();

-- A tag's value is its whole path, "a/b/c"; its name is the last part.
CREATE TABLE tag (
    id         uuid PRIMARY KEY,
    owner_id   uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    value      text NOT NULL,
    parent_id  uuid REFERENCES tag ON DELETE CASCADE,
    color      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    UNIQUE (owner_id, value)
);
CREATE TRIGGER tag_update BEFORE INSERT OR UPDATE ON tag FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX tag_parent ON tag (parent_id) WHERE parent_id IS NOT NULL;
CREATE TABLE tag_asset (
    tag_id   uuid NOT NULL REFERENCES tag ON DELETE CASCADE,
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    PRIMARY KEY (tag_id, asset_id)
);
CREATE INDEX tag_asset_asset ON tag_asset (asset_id);

CREATE TABLE memory (
    id         uuid PRIMARY KEY,
    owner_id   uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    type       text NOT NULL CHECK (type IN ('on_this_day')),
    data       jsonb NOT NULL,
    is_saved   boolean NOT NULL DEFAULT false,
    memory_at  timestamptz NOT NULL,
    seen_at    timestamptz,
    show_at    timestamptz,
    hide_at    timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    update_id  uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER memory_update BEFORE INSERT OR UPDATE ON memory FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX memory_sync ON memory (owner_id, update_id);
-- What is swept: memories that nobody keeps and whose time is over.
CREATE INDEX memory_old ON memory (hide_at) WHERE NOT is_saved AND hide_at IS NOT NULL;
CREATE TABLE memory_asset (
    memory_id  uuid NOT NULL REFERENCES memory ON DELETE CASCADE,
    asset_id   uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (memory_id, asset_id)
);
CREATE TRIGGER memory_asset_update BEFORE INSERT OR UPDATE ON memory_asset FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX memory_asset_asset ON memory_asset (asset_id);

CREATE TABLE memory_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    memory_id  uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX memory_audit_sync ON memory_audit (owner_id, id);
CREATE FUNCTION audit_memory_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO memory_audit (memory_id, owner_id) VALUES (OLD.id, OLD.owner_id);
    RETURN OLD;
END $$;
CREATE TRIGGER memory_delete AFTER DELETE ON memory FOR EACH ROW EXECUTE FUNCTION audit_memory_delete();

CREATE TABLE memory_asset_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    memory_id  uuid NOT NULL,
    asset_id   uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX memory_asset_audit_sync ON memory_asset_audit (owner_id, id);
-- Of a memory that goes as a whole its own row tells.
CREATE FUNCTION audit_memory_asset_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO memory_asset_audit (memory_id, asset_id, owner_id)
        SELECT OLD.memory_id, OLD.asset_id, owner_id FROM memory WHERE id = OLD.memory_id;
    RETURN OLD;
END $$;
CREATE TRIGGER memory_asset_delete AFTER DELETE ON memory_asset FOR EACH ROW EXECUTE FUNCTION audit_memory_asset_delete();

-- The memories that the server made: of which day, of which year. A row stays when its memory was deleted, so that it does not
-- come back.
CREATE TABLE memory_made (
    owner_id  uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    day       date NOT NULL,
    year      integer NOT NULL,
    memory_id uuid REFERENCES memory ON DELETE SET NULL,
    PRIMARY KEY (owner_id, day, year)
);
CREATE INDEX memory_made_memory ON memory_made (memory_id) WHERE memory_id IS NOT NULL;
CREATE INDEX memory_made_day ON memory_made (day);
-- What was taken on this day of any year: month * 100 + day.
CREATE INDEX asset_day ON asset (owner_id, (extract(month FROM local_date_time) * 100 + extract(day FROM local_date_time)))
    WHERE deleted_at IS NULL AND visibility = 'timeline';

-- What clients keep with an asset.
CREATE TABLE asset_metadata (
    asset_id   uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    key        text NOT NULL,
    value      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    PRIMARY KEY (asset_id, key)
);
CREATE TRIGGER asset_metadata_update BEFORE INSERT OR UPDATE ON asset_metadata
    FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX asset_metadata_sync ON asset_metadata (update_id);
CREATE TABLE asset_metadata_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    asset_id   uuid NOT NULL,
    key        text NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX asset_metadata_audit_sync ON asset_metadata_audit (owner_id, id);
-- Of an asset that goes as a whole its own row tells.
CREATE FUNCTION audit_asset_metadata_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO asset_metadata_audit (asset_id, key, owner_id)
        SELECT OLD.asset_id, OLD.key, owner_id FROM asset WHERE id = OLD.asset_id;
    RETURN OLD;
END $$;
CREATE TRIGGER asset_metadata_delete AFTER DELETE ON asset_metadata
    FOR EACH ROW EXECUTE FUNCTION audit_asset_metadata_delete();

-- Assets that look the same share an id.
ALTER TABLE asset ADD COLUMN duplicate_id uuid;
CREATE INDEX asset_duplicate ON asset (owner_id, duplicate_id) WHERE duplicate_id IS NOT NULL;
-- Assets of which their owner said that they are no duplicates of one another: those of one group.
CREATE TABLE duplicate_kept (
    asset_id uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE,
    group_id uuid NOT NULL
);

-- What is done to an original when it is shown, in order of `sequence`.
CREATE TABLE asset_edit (
    id         uuid PRIMARY KEY,
    asset_id   uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    sequence   integer NOT NULL,
    action     text NOT NULL CHECK (action IN ('crop', 'rotate', 'mirror')),
    parameters jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    update_id  uuid NOT NULL DEFAULT uuidv7(),
    UNIQUE (asset_id, sequence)
);
CREATE TRIGGER asset_edit_update BEFORE INSERT OR UPDATE ON asset_edit FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX asset_edit_sync ON asset_edit (update_id);
CREATE TABLE asset_edit_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    edit_id    uuid NOT NULL,
    asset_id   uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX asset_edit_audit_sync ON asset_edit_audit (owner_id, id);
CREATE FUNCTION audit_asset_edit_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO asset_edit_audit (edit_id, asset_id, owner_id)
        SELECT OLD.id, OLD.asset_id, owner_id FROM asset WHERE id = OLD.asset_id;
    RETURN OLD;
END $$;
CREATE TRIGGER asset_edit_delete AFTER DELETE ON asset_edit FOR EACH ROW EXECUTE FUNCTION audit_asset_edit_delete();
ALTER TABLE asset_file DROP CONSTRAINT asset_file_kind_check;
ALTER TABLE asset_file ADD CONSTRAINT asset_file_kind_check CHECK (kind IN ('preview', 'thumbnail', 'fullsize', 'encoded-video',
    'edited-preview', 'edited-thumbnail', 'edited-fullsize'));
ALTER TABLE asset ADD COLUMN is_edited boolean NOT NULL DEFAULT false;

-- The folders of an owner's originals.
CREATE INDEX asset_folder ON asset (owner_id, (regexp_replace(original_path, '/[^/]*$', '')), file_created_at)
    WHERE deleted_at IS NULL AND visibility = 'timeline';
