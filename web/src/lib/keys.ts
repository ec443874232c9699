// Arrow keys between tiles, in whatever grid they are.

import { vertical } from './layout.js';

export function arrows(event: KeyboardEvent) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key] as 1 | -1 | undefined;
  if (!by || event.altKey || event.ctrlKey || event.metaKey) return;
  const typing = (event.target as HTMLElement).closest?.('input, textarea, dialog');
  if (typing) return;
  const tiles = [...document.querySelectorAll<HTMLAnchorElement>('a[data-id]')];
  tiles.sort((a, b) => {
    const [one, other] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    return one.top - other.top || one.left - other.left;
  });
  const at = tiles.indexOf(document.activeElement as HTMLAnchorElement);
  let next: number | null;
  if (at < 0) {
    // Nothing is chosen yet: the first that can be seen.
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') return;
    next = tiles.findIndex((tile) => tile.getBoundingClientRect().top > 0);
  } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
    const boxes = tiles.map((tile) => {
      const { top, left, width, height } = tile.getBoundingClientRect();
      return { top: Math.round(top), left, width, height };
    });
    next = vertical(boxes, at, by);
  } else {
    next = at + by;
  }
  const tile = next === null ? undefined : tiles[next];
  if (tile) {
    event.preventDefault();
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: 'nearest' });
  }
}
