-- What has been done with which recipe. A failed step stays failed until its recipe changes or somebody asks again.
CREATE TABLE step_result (
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    pipeline text NOT NULL,
    step     text NOT NULL,
    recipe   text NOT NULL,
    status   text NOT NULL CHECK (status IN ('done', 'skipped', 'failed')),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, pipeline, step)
);

-- Assets for which a pipeline has something left to do, so that nobody has to look at all of them. `round` counts up when there
-- is more to do, so that a run which began before does not close it.
CREATE TABLE asset_open (
    pipeline text NOT NULL,
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    round    integer NOT NULL DEFAULT 1,
    -- Its clients have not been told of it yet.
    is_new   boolean NOT NULL DEFAULT false,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, asset_id)
);
CREATE INDEX asset_open_asset ON asset_open (asset_id);

-- Steps that began and have not ended, and how many processes began them: a file that kills the process is found by this.
CREATE TABLE step_start (
    asset_id uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
    pipeline text NOT NULL,
    step     text NOT NULL,
    starts   integer NOT NULL DEFAULT 1,
    -- The process of the last start.
    process  uuid NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, pipeline, step)
);
