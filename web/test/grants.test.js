import assert from 'node:assert/strict';
import test from 'node:test';
import { changes, isComplete, refusable, sourceFault, unbound } from '../src/lib/grants.js';

const requests = { models: ['detector', 'embedder'], pixels: true, http: [], memory: '64MiB' };

test('a label without a model has to be bound before anything is approved', () => {
  assert.deepEqual(unbound(requests, {}), ['detector', 'embedder']);
  assert.deepEqual(unbound(requests, { models: { detector: 'centerface' } }), ['embedder']);
  const choice = { refused: new Set(), models: { embedder: '' } };
  assert.equal(isComplete(requests, { models: { detector: 'centerface' } }, choice), false);
  assert.equal(isComplete(requests, { models: { detector: 'centerface' } }, { ...choice, models: { embedder: 'fr-feature' } }), true);
  assert.equal(isComplete({}, {}, choice), true);
});

test('what is asked for can be refused, and what is not asked for is not shown', () => {
  assert.deepEqual(refusable(requests), ['pixels']);
  assert.deepEqual(refusable({ pixels: false, http: ['https://example.org:443'] }), ['http']);
  assert.deepEqual(changes({ refused: new Set(['pixels']), models: {} }), { pixels: false });
  assert.deepEqual(changes({ refused: new Set(), models: { a: 'b' } }), { models: { a: 'b' } });
});

test('a source that the server would refuse is said before it is asked', () => {
  for (const good of ['https://example.org/a.wasm', ' oci://host/a:1 ', 'http://127.0.0.1:5000/a.wasm', 'index+https://a/b.toml#org.a']) {
    assert.equal(sourceFault(good), '', good);
  }
  for (const bad of ['', 'http://example.org/a.wasm', '/etc/passwd', 'a.wasm', 'http://127.0.0.1.example.org/a', 'index+https://a/b']) {
    assert.notEqual(sourceFault(bad), '', bad);
  }
});
