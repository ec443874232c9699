import { thumbnail, type Item } from './api';

/** The next photo is there before it is asked for. */
export function preload(items: (Item | null)[]) {
  for (const item of items) {
    if (item?.isImage && item.thumbhash) new Image().src = thumbnail(item.id, 'preview', item.thumbhash);
  }
}
