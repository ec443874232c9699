-- Videos: what is made of them for playback, and photos that move.

ALTER TABLE asset_file DROP CONSTRAINT asset_file_kind_check;
ALTER TABLE asset_file ADD CONSTRAINT asset_file_kind_check
    CHECK (kind IN ('preview', 'thumbnail', 'fullsize', 'encoded-video'));

-- How much of a long step is done, 0 to 1.
ALTER TABLE step_start ADD COLUMN progress real;

-- What the photo and the video of one Live Photo have in common.
ALTER TABLE asset_exif ADD COLUMN content_id text;
CREATE INDEX asset_exif_content_id ON asset_exif (content_id) WHERE content_id IS NOT NULL;

-- The part of a photo that moves is not seen beside it.
UPDATE asset SET visibility = 'hidden' WHERE type = 'VIDEO' AND visibility <> 'locked'
    AND id IN (SELECT live_photo_video_id FROM asset WHERE live_photo_video_id IS NOT NULL);

-- Videos were skipped until now.
WITH forgotten AS (
    DELETE FROM step_result r USING asset a WHERE a.id = r.asset_id AND a.type = 'VIDEO' RETURNING r.pipeline, r.asset_id
)
INSERT INTO asset_open AS o (pipeline, asset_id) SELECT DISTINCT pipeline, asset_id FROM forgotten
ON CONFLICT (pipeline, asset_id) DO UPDATE SET round = o.round + 1;
