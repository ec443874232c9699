-- Runs of a pipeline over many assets, events that are about assets that are gone, and who was recognised.

-- A run over the library or a part of it: what somebody, a schedule or a job command asked for. How far it is follows from
-- `asset_open`.
CREATE TABLE pipeline_run (
    id         uuid PRIMARY KEY,
    pipeline   text NOT NULL,
    cause      text NOT NULL CHECK (cause IN ('manual', 'schedule', 'queue')),
    steps      text[] NOT NULL,
    -- Also where there is a result already.
    force      boolean NOT NULL,
    -- Assets that it was due for when it began.
    total      bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    -- What was left a while ago: the pace of late.
    sample_at   timestamptz,
    sample_left bigint
);
CREATE INDEX pipeline_run_pipeline ON pipeline_run (pipeline, started_at DESC);

ALTER TABLE asset_open ADD COLUMN run_id uuid REFERENCES pipeline_run ON DELETE SET NULL;
CREATE INDEX asset_open_run ON asset_open (run_id) WHERE run_id IS NOT NULL;

-- Assets that are gone for good, as conditions see them, until the pipelines have them.
CREATE TABLE deleted_outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset_id   uuid NOT NULL,
    facts      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What the pipelines on `asset.deleted` have left to do. `ended`: how each step ended.
CREATE TABLE deleted_open (
    pipeline text NOT NULL,
    asset_id uuid NOT NULL,
    facts    jsonb NOT NULL,
    ended    jsonb NOT NULL DEFAULT '{}',
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, asset_id)
);

-- A photo shows somebody with a name: by clustering, by hand, or because the name was given now. Here, because faces get their
-- person in many ways.
CREATE FUNCTION tell_recognized() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (asset_id, trigger, is_new)
    SELECT a.id, 'person.recognized', false FROM asset a JOIN person p ON p.id = NEW.person_id
    WHERE a.id = NEW.asset_id AND p.name <> '' AND a.deleted_at IS NULL AND a.visibility <> 'locked';
    RETURN NULL;
END $$;
CREATE TRIGGER face_is_somebody AFTER INSERT ON face FOR EACH ROW
    WHEN (NEW.person_id IS NOT NULL AND NEW.deleted_at IS NULL) EXECUTE FUNCTION tell_recognized();
CREATE TRIGGER face_is_another AFTER UPDATE OF person_id ON face FOR EACH ROW
    WHEN (NEW.person_id IS NOT NULL AND NEW.deleted_at IS NULL AND NEW.person_id IS DISTINCT FROM OLD.person_id)
    EXECUTE FUNCTION tell_recognized();

CREATE FUNCTION tell_named() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (asset_id, trigger, is_new)
    SELECT DISTINCT a.id, 'person.recognized', false FROM face f JOIN asset a ON a.id = f.asset_id
    WHERE f.person_id = NEW.id AND f.deleted_at IS NULL AND a.deleted_at IS NULL AND a.visibility <> 'locked';
    RETURN NULL;
END $$;
CREATE TRIGGER person_is_named AFTER UPDATE OF name ON person FOR EACH ROW
    WHEN (OLD.name = '' AND NEW.name <> '') EXECUTE FUNCTION tell_named();
