-- Small state that plugins keep by themselves. `scope` keeps two uses of one plugin apart: of a storage plugin, the backend's name.
CREATE TABLE plugin_kv (
    plugin  text NOT NULL,
    scope   text NOT NULL,
    key     text NOT NULL,
    value   bytea NOT NULL,
    -- After which it counts as gone.
    expires timestamptz,
    PRIMARY KEY (plugin, scope, key)
);
CREATE INDEX plugin_kv_expires ON plugin_kv (expires) WHERE expires IS NOT NULL;

-- Plugins that kept breaking and are left alone until an operator or another version takes their place. The digest is the
-- component's: a new version is not to blame for the old one.
CREATE TABLE plugin_quarantine (
    plugin text NOT NULL,
    digest text NOT NULL,
    reason text NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (plugin, digest)
);
