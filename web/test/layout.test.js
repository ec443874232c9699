import assert from 'node:assert/strict';
import test from 'node:test';
import { estimate, justify, vertical } from '../src/lib/layout.js';

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
