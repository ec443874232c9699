-- What somebody corrected by hand: 'date' (with the time zone), 'place' (with the coordinates). The metadata step leaves it alone.
ALTER TABLE asset_exif ADD COLUMN by_hand text[] NOT NULL DEFAULT '{}';
