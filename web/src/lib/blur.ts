// Thumbhashes as pictures, made once each.

import { thumbHashToDataURL } from 'thumbhash';

const made = new Map<string, string>();

export function blur(hash: string): string {
  let url = made.get(hash);
  if (url === undefined) {
    const bytes = Uint8Array.from(atob(hash), (character) => character.charCodeAt(0));
    url = thumbHashToDataURL(bytes);
    if (made.size > 5000) made.clear();
    made.set(hash, url);
  }
  return url;
}
