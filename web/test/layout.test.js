import assert from 'node:assert/strict';
import test from 'node:test';
import { HIGHEST, Ruler, estimate, justify, vertical, within } from '../src/lib/layout.js';

const rows = (boxes) => Map.groupBy ? [...Map.groupBy(boxes, (box) => box.top).values()] : Object.values(boxes.reduce((all, box) => ({ ...all, [box.top]: [...(all[box.top] ?? []), box] }), {}));

test('every row but the last is exactly as wide as the page', () => {
  const ratios = Array.from({ length: 37 }, (_, at) => 0.6 + ((at * 7) % 11) / 8);
  const { boxes } = justify(ratios, 1000, 200, 4);
  assert.equal(boxes.length, 37);
  for (const row of rows(boxes).slice(0, -1)) {
    const last = row.at(-1);
    assert.ok(Math.abs(last.left + last.width - 1000) < 1e-6);
    assert.ok(row.every((box) => box.height === row[0].height && box.height <= 200));
  }
});

test('a photo keeps its shape', () => {
  const { boxes } = justify([1.5, 0.75, 1.333, 1, 1.777], 600, 180, 4);
  for (const [at, ratio] of [1.5, 0.75, 1.333].entries()) {
    assert.ok(Math.abs(boxes[at].width / boxes[at].height - ratio) < 0.02, `photo ${at}`);
  }
});

test('a single photo is not blown up', () => {
  const { boxes, height } = justify([1.5], 2000, 220, 4);
  assert.deepEqual([boxes[0].height, boxes[0].width, height], [220, 330, 220]);
});

test('a panorama and a sliver leave room for others', () => {
  const { boxes } = justify([20, 0.01, 1], 900, 200, 4);
  assert.ok(boxes.every((box) => box.width > 60 && box.width <= 900));
});

test('nonsense in a ratio is a square', () => {
  const { boxes } = justify([NaN, 0, -1, Infinity], 5000, 200, 4);
  assert.ok(boxes.every((box) => box.width === 200));
});

test('no photos are no height', () => {
  assert.deepEqual(justify([], 900, 200, 4), { boxes: [], height: 0 });
});

test('down goes to the photo below, up comes back', () => {
  const { boxes } = justify(Array(12).fill(1.5), 1000, 200, 4);
  const below = vertical(boxes, 1, 1);
  assert.ok(boxes[below].top > boxes[1].top);
  assert.equal(boxes[below].left, boxes[1].left);
  assert.equal(vertical(boxes, below, -1), 1);
  assert.equal(vertical(boxes, 0, -1), null);
  assert.equal(vertical(boxes, 11, 1), null);
});

test('an estimate is near what the layout becomes', () => {
  const real = justify(Array(100).fill(1.4), 1200, 220, 4).height;
  const guess = estimate(100, 1200, 220, 4);
  assert.ok(guess > real * 0.6 && guess < real * 1.6, `${guess} for ${real}`);
});

test('only the rows in a strip are looked at', () => {
  const { boxes } = justify(Array(600).fill(1.5), 1000, 200, 4);
  for (const [top, bottom] of [[-900, 300], [1000, 1400], [0, 0], [30_000, 40_000], [-500, -100], [0, 1e9]]) {
    const [from, to] = within(boxes, top, bottom);
    const slow = boxes.filter((box) => box.top < bottom && box.top + box.height > top);
    assert.deepEqual(boxes.slice(from, to), slow, `${top} to ${bottom}`);
  }
});

test('a list that browsers can scroll is scrolled as it is', () => {
  const ruler = new Ruler();
  ruler.measure(5000, 800);
  assert.deepEqual([ruler.physical, ruler.scrolled(4200), ruler.settle(4200, true)], [5000, 4200, null]);
});

test('the bottom of a million photos is reached by the scroll bar and by the wheel', () => {
  const ruler = new Ruler();
  const [height, view] = [56_000_000, 900];
  ruler.measure(height, view);
  assert.equal(ruler.scrolled(HIGHEST - view), height - view);
  // From the middle, a wheel's notch at a time, a pixel is a pixel.
  let at = 4_000_000;
  const before = ruler.scrolled(at);
  assert.equal(ruler.scrolled(at + 100), before + 100);
  // Near the end, too, and the end of the window is the end of the list.
  ruler.scrolled(HIGHEST / 2);
  at = HIGHEST - 20 * view;
  let listed = ruler.scrolled(at);
  for (let notch = 0; notch < 10_000 && at < HIGHEST - view; notch += 1) {
    at = Math.min(at + 300, HIGHEST - view);
    const now = ruler.scrolled(at);
    assert.ok(now - listed <= 301 && now > listed, `${listed} to ${now}`);
    listed = now;
    at = ruler.settle(at, false) ?? at;
  }
  assert.ok(Math.abs(listed - (height - view)) < 10, `${listed}`);
});

test('who is at the end of a list that turns out shorter is still at its end', () => {
  const ruler = new Ruler();
  ruler.measure(56_000_000, 900);
  ruler.scrolled(HIGHEST - 900);
  ruler.measure(55_900_000, 900);
  assert.equal(ruler.scrolled(HIGHEST - 900), 55_900_000 - 900);
});
