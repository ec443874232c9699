// Justified rows: every photo keeps its shape, every row but the last is as wide as the page.

/**
 * @typedef {{ top: number, left: number, width: number, height: number }} Box
 * @typedef {{ boxes: Box[], height: number }} Layout
 */

/**
 * @param {number[]} ratios width / height of each photo
 * @param {number} width of the page, in pixels
 * @param {number} target height of a row
 * @param {number} gap between photos
 * @returns {Layout}
 */
export function justify(ratios, width, target, gap) {
  /** @type {Box[]} */
  const boxes = [];
  let top = 0;
  let start = 0;
  while (start < ratios.length) {
    let sum = 0;
    let end = start;
    // A row is full when it would be lower than the target; panoramas and slivers are held within reason.
    while (end < ratios.length && (end === start || rowHeight(sum, end - start, width, gap) > target)) {
      sum += reasonable(ratios[end] ?? 1);
      end += 1;
    }
    const full = rowHeight(sum, end - start, width, gap);
    const isLast = end === ratios.length;
    const height = isLast ? Math.min(full, target) : full;
    let left = 0;
    for (let at = start; at < end; at += 1) {
      const isEnd = at === end - 1 && (!isLast || full <= target);
      const wide = isEnd ? width - left : reasonable(ratios[at] ?? 1) * height;
      boxes.push({ top, left, width: wide, height });
      left += wide + gap;
    }
    top += height + gap;
    start = end;
  }
  return { boxes, height: Math.max(0, top - gap) };
}

/** @param {number} sum @param {number} count @param {number} width @param {number} gap */
function rowHeight(sum, count, width, gap) {
  return sum === 0 ? Infinity : (width - gap * (count - 1)) / sum;
}

/** @param {number} ratio */
export function reasonable(ratio) {
  return Number.isFinite(ratio) && ratio > 0 ? Math.min(3, Math.max(0.45, ratio)) : 1;
}

/**
 * How high a month will be before its photos are known.
 * @param {number} count @param {number} width @param {number} target @param {number} gap
 */
export function estimate(count, width, target, gap) {
  const perRow = Math.max(1, Math.floor(width / (target * 1.35)));
  const rows = Math.ceil(count / perRow);
  return rows * (target + gap) - gap;
}

/**
 * The box above or below another one: the nearest by its middle, in the next row.
 * @param {Box[]} boxes @param {number} at @param {1 | -1} direction
 * @returns {number | null}
 */
export function vertical(boxes, at, direction) {
  const from = boxes[at];
  if (!from) return null;
  const middle = from.left + from.width / 2;
  let best = null;
  let bestDistance = Infinity;
  let row = null;
  for (let other = at + direction; other >= 0 && other < boxes.length; other += direction) {
    const box = boxes[other];
    if (!box || box.top === from.top) continue;
    if (row === null) row = box.top;
    if (box.top !== row) break;
    const distance = Math.abs(box.left + box.width / 2 - middle);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = other;
    }
  }
  return best;
}

/**
 * The boxes that reach into a strip. Boxes come row by row, so both ends are found by halving.
 * @param {Box[]} boxes @param {number} top @param {number} bottom
 * @returns {[number, number]} from, and up to without
 */
export function within(boxes, top, bottom) {
  const from = first(boxes, (box) => box.top + box.height > top);
  const to = first(boxes, (box) => box.top >= bottom);
  return [from, Math.max(from, to)];
}

/** @param {Box[]} boxes @param {(box: Box) => boolean} holds for all from some box on */
function first(boxes, holds) {
  let [low, high] = [0, boxes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(/** @type {Box} */ (boxes[middle]))) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What every browser can still scroll: Firefox ends at 17.9 million pixels, Chromium at 33.5. */
export const HIGHEST = 8_000_000;

/**
 * Scrolls a list that may be higher than browsers can. What is scrolled is `physical`; the list is `height`. A wheel or a
 * finger moves both alike, by way of a shift between them; the scroll bar goes by proportion.
 */
export class Ruler {
  height = 0;
  view = 0;
  /** Between the list and what is scrolled. */
  shift = 0;
  #last = 0;

  get physical() {
    return Math.min(this.height, HIGHEST);
  }

  /** @param {number} height of the list @param {number} view of the window */
  measure(height, view) {
    this.height = height;
    this.view = view;
    if (height <= HIGHEST) this.shift = 0;
  }

  /**
   * Takes where the window was scrolled to.
   * @param {number} at
   * @returns {number} where in the list that is
   */
  scrolled(at) {
    if (this.height > HIGHEST && Math.abs(at - this.#last) > 2 * this.view) this.shift = this.#listed(at) - at;
    // Months that turn out lower than they were estimated may have taken the end away.
    if (this.height > HIGHEST) this.shift = Math.min(this.shift, this.height - this.view - at);
    this.#last = at;
    return this.position(at);
  }

  /** @param {number} at */
  position(at) {
    return at + this.shift;
  }

  /**
   * Brings both into proportion again, so that neither ends before the other.
   * @param {number} at where the window is
   * @param {boolean} isIdle nobody is scrolling
   * @returns {number | null} where the window must go, if anywhere
   */
  settle(at, isIdle) {
    if (this.height <= HIGHEST) return null;
    const edge = 8 * this.view;
    if (!isIdle && at > edge && at < this.physical - edge) return null;
    const listed = Math.min(Math.max(0, this.position(at)), this.height - this.view);
    const to = Math.round((listed * (this.physical - this.view)) / (this.height - this.view));
    if (Math.abs(to - at) < 2) return null;
    this.shift = listed - to;
    this.#last = to;
    return to;
  }

  /** @param {number} at */
  #listed(at) {
    return (at * (this.height - this.view)) / (this.physical - this.view);
  }
}
