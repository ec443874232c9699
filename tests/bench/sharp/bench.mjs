// Makes thumbnails with sharp as Immich does, one thread. The files named on the command line are read first; then it prints
// what it is, reads the number of a file a line, and answers each with its seconds.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import sharp from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';

// One image at a time on one thread, nothing remembered.
sharp.concurrency(1);
sharp.cache(false);

const PREVIEW = 1440;
const THUMBNAIL = 250;

async function thumbnails(bytes) {
  const { data, info } = await sharp(bytes, { failOn: 'error', limitInputPixels: false })
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

const files = process.argv.slice(2).map((path) => readFileSync(path));
console.log(`sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`);
for await (const line of createInterface({ input: process.stdin })) {
  const begin = process.hrtime.bigint();
  const bytes = await thumbnails(files[Number(line)]);
  console.log(`${Number(process.hrtime.bigint() - begin) / 1e9} ${bytes}`);
}
