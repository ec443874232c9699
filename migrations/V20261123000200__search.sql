-- People, faces, the vectors of both searches, and colours.

-- A space is (plugin, model revision, dimensions). Its vectors lie in a table of its own, asset_embedding_<id> or
-- face_embedding_<id>, which the server creates: a partial index could not serve a parameter, and two models coexist while a
-- backfill runs.
CREATE TABLE embedding_space (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('asset', 'face')),
    name        text NOT NULL,
    dimensions  integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),
    -- Faces only: two faces are of one person from this cosine on.
    same_person real,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (kind, name)
);

CREATE TABLE person (
    id                 uuid PRIMARY KEY,
    owner_id           uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    name               text NOT NULL DEFAULT '',
    birth_date         date,
    is_hidden          boolean NOT NULL DEFAULT false,
    is_favorite        boolean NOT NULL DEFAULT false,
    color              text,
    -- Somebody made this person by hand; clustering never takes it away.
    by_hand            boolean NOT NULL DEFAULT false,
    feature_face_id    uuid,
    thumbnail_location text,
    -- The face that the thumbnail shows.
    thumbnail_face_id  uuid,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    update_id          uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER person_update BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX person_owner ON person (owner_id);

CREATE TABLE face (
    id           uuid PRIMARY KEY,
    asset_id     uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    person_id    uuid REFERENCES person ON DELETE SET NULL,
    -- 'manual': somebody decided this (also: that it is nobody), and clustering leaves it alone.
    assigned     text NOT NULL DEFAULT 'auto' CHECK (assigned IN ('auto', 'manual')),
    -- The space of its embedding; NULL for a face drawn by hand.
    space_id     integer REFERENCES embedding_space,
    x1           integer NOT NULL,
    y1           integer NOT NULL,
    x2           integer NOT NULL,
    y2           integer NOT NULL,
    image_width  integer NOT NULL,
    image_height integer NOT NULL,
    score        real NOT NULL DEFAULT 1,
    source       text NOT NULL CHECK (source IN ('machine-learning', 'exif', 'manual')),
    deleted_at   timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    update_id    uuid NOT NULL DEFAULT uuidv7()
);
CREATE TRIGGER face_update BEFORE INSERT OR UPDATE ON face FOR EACH ROW EXECUTE FUNCTION set_update_id();
CREATE INDEX face_asset ON face (asset_id);
-- Whole, not only of what is seen: the foreign key looks up the others too.
CREATE INDEX face_person ON face (person_id, asset_id);
ALTER TABLE person ADD FOREIGN KEY (feature_face_id) REFERENCES face ON DELETE SET NULL;
CREATE INDEX person_feature_face ON person (feature_face_id) WHERE feature_face_id IS NOT NULL;
CREATE INDEX person_thumbnail_face ON person (thumbnail_face_id) WHERE thumbnail_face_id IS NOT NULL;

-- Owners whose faces changed in ways that clustering one face at a time does not see: faces went, or belong to nobody yet.
CREATE TABLE people_stale (
    owner_id uuid PRIMARY KEY REFERENCES app_user ON DELETE CASCADE,
    since    timestamptz NOT NULL DEFAULT now(),
    -- The last change: a pass waits until an import has calmed down.
    touched  timestamptz NOT NULL DEFAULT now()
);

-- Deletes leave rows for the sync stream.
CREATE TABLE person_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    person_id  uuid NOT NULL,
    owner_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION audit_person_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO person_audit (person_id, owner_id) VALUES (OLD.id, OLD.owner_id);
    RETURN OLD;
END $$;
CREATE TRIGGER person_delete AFTER DELETE ON person FOR EACH ROW EXECUTE FUNCTION audit_person_delete();

CREATE TABLE face_audit (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    face_id    uuid NOT NULL,
    asset_id   uuid NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION audit_face_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    INSERT INTO face_audit (face_id, asset_id) VALUES (OLD.id, OLD.asset_id);
    RETURN OLD;
END $$;
CREATE TRIGGER face_delete AFTER DELETE ON face FOR EACH ROW EXECUTE FUNCTION audit_face_delete();

-- The few colours of a picture: Lab values one after another, and the share of the picture that each has.
CREATE TABLE asset_palette (
    asset_id uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE,
    lab      real[] NOT NULL,
    share    real[] NOT NULL
);

-- What metadata search sorts by.
CREATE INDEX asset_search ON asset (owner_id, file_created_at DESC, id DESC) WHERE deleted_at IS NULL;
