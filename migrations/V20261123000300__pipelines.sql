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
