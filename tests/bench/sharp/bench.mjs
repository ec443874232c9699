// Makes thumbnails with sharp as Immich does, one thread. Reads a path a line, answers each with its seconds; the first line
// that it prints says what it is.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import sharp from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';

// One image at a time on one thread, nothing remembered.
sharp.concurrency(1);
sharp.cache(false);

const PREVIEW = 1440;
const THUMBNAIL = 250;

async function thumbnails(path) {
  const { data, info } = await sharp(readFileSync(path), { failOn: 'error', limitInputPixels: false })
    .rotate()
    .toColorspace('srgb')
    .resize(PREVIEW, PREVIEW, { fit: 'outside', withoutEnlargement: true })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { raw: { width: info.width, height: info.height, channels: info.channels } };
  const preview = await sharp(data, raw).jpeg({ quality: 80, chromaSubsampling: '4:2:0' }).toBuffer();
  const thumbnail = await sharp(data, raw)
    .resize(THUMBNAIL, THUMBNAIL, { fit: 'outside', withoutEnlargement: true })
    .webp({ quality: 80 })
    .toBuffer();
  const small = await sharp(data, raw)
    .resize(100, 100, { fit: 'inside', withoutEnlargement: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const hash = rgbaToThumbHash(small.info.width, small.info.height, small.data);
  return preview.length + thumbnail.length + hash.length;
}

console.log(`sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`);
for await (const path of createInterface({ input: process.stdin })) {
  const begin = process.hrtime.bigint();
  const bytes = await thumbnails(path);
  console.log(`${Number(process.hrtime.bigint() - begin) / 1e9} ${bytes}`);
}
