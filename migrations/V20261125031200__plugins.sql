-- Installed plugins: the bytes by what they are, which of them each plugin runs, and whose signatures count. Every node reads
-- its plugins from here.
CREATE TABLE plugin_component (
    -- SHA-256 in hex.
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    wasm   bytea NOT NULL CHECK (octet_length(wasm) <= 33554432)
);
-- Code is compressed badly and read whole.
ALTER TABLE plugin_component ALTER COLUMN wasm SET STORAGE EXTERNAL;

CREATE TABLE plugin (
    id           text PRIMARY KEY,
    enabled      boolean NOT NULL DEFAULT true,
    -- Counts changes, so that two operators at once do not undo each other.
    revision     bigint NOT NULL DEFAULT 1,
    -- What runs, what ran before it, and what waits for an approval.
    active       text,
    previous     text,
    staged       text,
    installed_at timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (active IS NOT NULL OR staged IS NOT NULL)
);

-- A version of a plugin with what was approved for it: a step back takes that along.
CREATE TABLE plugin_release (
    plugin_id text NOT NULL REFERENCES plugin ON DELETE CASCADE,
    digest    text NOT NULL REFERENCES plugin_component,
    manifest  jsonb NOT NULL,
    -- The minisign signature's text and the key that it holds for; neither: unsigned, which an operator allowed.
    signature text,
    signed_by text,
    source    text NOT NULL,
    grants    jsonb NOT NULL,
    settings  jsonb NOT NULL,
    added_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plugin_id, digest)
);
CREATE INDEX plugin_release_digest ON plugin_release (digest);
ALTER TABLE plugin
    ADD FOREIGN KEY (id, active) REFERENCES plugin_release (plugin_id, digest) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (id, previous) REFERENCES plugin_release (plugin_id, digest) DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (id, staged) REFERENCES plugin_release (plugin_id, digest) DEFERRABLE INITIALLY DEFERRED;

-- Whose signature counts for which ids: `org.example` is for itself and for all that begins with `org.example.`.
CREATE TABLE plugin_key (
    public_key text NOT NULL,
    prefix     text NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (public_key, prefix)
);

-- Goes up with every change. Nodes look at it now and then: a message that was lost is made up for.
CREATE TABLE plugin_generation (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    generation bigint NOT NULL
);
INSERT INTO plugin_generation (generation) VALUES (0);
