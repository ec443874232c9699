// What Immich's phone app does with a server, from the first look to the logout, with a check at every step.
//
//   node session.ts http://127.0.0.1:2283 ann@example.org 'correct horse' ~/photos
//
// The folder holds JPEGs, and beside LIVE.jpg the LIVE.mov that belongs to it. Node 22.18 or newer runs this file as it is.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { io, type Socket } from 'socket.io-client';

type Row = Record<string, any>;
type Line = { type: string; data: Row; ack: string };

const [address, email, password, folder] = process.argv.slice(2);
assert(folder, 'usage: node session.ts URL EMAIL PASSWORD FOLDER');

/** As app 3.2 asks. */
const TYPES = [
  'AuthUsersV1', 'UsersV1', 'AssetsV2', 'AssetExifsV1', 'AssetEditsV1', 'AssetMetadataV1', 'PartnersV1', 'PartnerAssetsV2',
  'PartnerAssetExifsV1', 'AlbumsV2', 'AlbumUsersV1', 'AlbumAssetsV2', 'AlbumAssetExifsV1', 'AlbumToAssetsV1', 'MemoriesV1',
  'MemoryToAssetsV1', 'StacksV1', 'PartnerStacksV1', 'UserMetadataV1', 'PeopleV1', 'AssetFacesV2', 'AssetOcrV1',
];
/** Uploads at once, as in the app's foreground. */
const WORKERS = 3;

/** The app's database: assets and their metadata. */
const assets = new Map<string, Row>();
const exifs = new Map<string, Row>();

let api = '';
let cookie = '';

async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const isForm = body instanceof FormData;
  const headers: Record<string, string> = { cookie, deviceModel: 'Pixel 9', deviceType: 'Android' };
  if (body !== undefined && !isForm) {
    headers['content-type'] = 'application/json';
  }
  return fetch(api + path, { method, headers, body: isForm ? body : JSON.stringify(body) });
}

async function ok(method: string, path: string, body?: unknown): Promise<any> {
  const answer = await call(method, path, body);
  const text = await answer.text();
  assert(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text && answer.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : text;
}

async function discover(): Promise<void> {
  const known = await (await fetch(`${address}/.well-known/immich`)).json();
  api = new URL(known.api.endpoint, address).href;
  assert.deepEqual(await ok('GET', '/server/ping'), { res: 'pong' });
  const version = await ok('GET', '/server/version');
  assert(version.major >= 3, 'the app asks older servers for what is not there any more');
  const [features, config] = [await ok('GET', '/server/features'), await ok('GET', '/server/config')];
  assert.equal(features.passwordLogin, true);
  assert.equal(config.isInitialized, true);
}

async function logIn(): Promise<void> {
  const answer = await call('POST', '/auth/login', { email, password });
  assert.equal(answer.status, 201);
  const { accessToken, userEmail } = await answer.json();
  assert.equal(userEmail, email);
  // The app writes the cookies into its jar by itself.
  cookie = `immich_access_token=${accessToken}; immich_auth_type=password; immich_is_authenticated=true`;
  assert.equal((await ok('POST', '/auth/validateToken')).authStatus, true);
  assert.equal((await ok('GET', '/users/me')).email, email);
  await ok('GET', '/users/me/preferences');
}

/** Connects, and keeps what comes. */
async function listen(): Promise<{ socket: Socket; ready: Row[] }> {
  const ready: Row[] = [];
  const path = `${new URL(api).pathname}/socket.io`;
  const socket = io(new URL(api).origin, { path, transports: ['websocket'], extraHeaders: { cookie }, reconnection: false });
  socket.on('AssetUploadReadyV2', (payload) => ready.push(payload));
  const version = await new Promise<Row>((resolve, reject) => {
    socket.once('on_server_version', resolve);
    socket.once('connect_error', reject);
    socket.once('error', reject);
  });
  assert.equal(version.major, 3);
  return { socket, ready };
}

/** Applies a run of lines of one type, as the app does it in one transaction. */
function apply(lines: Line[]): void {
  for (const { type, data } of lines) {
    switch (type) {
      case 'AssetV2': assets.set(data.id, data); break;
      case 'AssetDeleteV1': assets.delete(data.assetId); break;
      case 'AssetExifV1':
        assert(assets.has(data.assetId), 'metadata never comes before its asset');
        exifs.set(data.assetId, data);
        break;
    }
  }
}

/** One sync. Returns how many lines of each type came. */
async function sync(): Promise<Record<string, number>> {
  const answer = await call('POST', '/sync/stream', { types: TYPES });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'application/jsonlines+json');
  const lines: Line[] = (await answer.text()).trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.equal(lines.at(-1)?.type, 'SyncCompleteV1', 'the stream came to its end');
  const counts: Record<string, number> = {};
  for (let at = 0; at < lines.length; ) {
    let end = at;
    while (end < lines.length && lines[end].type === lines[at].type) {
      end++;
    }
    apply(lines.slice(at, end));
    await ok('POST', '/sync/ack', { acks: [lines[end - 1].ack] });
    counts[lines[at].type] = (counts[lines[at].type] ?? 0) + end - at;
    at = end;
  }
  return counts;
}

async function upload(name: string, bytes: Buffer, more: Record<string, string> = {}): Promise<Row> {
  const form = new FormData();
  const date = '2024-03-15T12:00:00.000Z';
  for (const [field, value] of Object.entries({ fileCreatedAt: date, fileModifiedAt: date, filename: name, ...more })) {
    form.append(field, value);
  }
  form.append('assetData', new Blob([new Uint8Array(bytes)]), name);
  return ok('POST', '/assets', form);
}

/** Uploads what the server has not got, by the checksums that came with the sync. Returns how many photos that were. */
async function backUp(): Promise<number> {
  const known = new Set([...assets.values()].map((asset) => asset.checksum));
  const waiting: [string, Buffer][] = [];
  for (const name of (await readdir(folder)).sort().filter((name) => name.endsWith('.jpg'))) {
    const bytes = await readFile(join(folder, name));
    if (!known.has(createHash('sha1').update(bytes).digest('base64'))) {
      waiting.push([name, bytes]);
    }
  }
  const count = waiting.length;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [name, bytes] = next;
      // The video goes first and hides behind its photo.
      const live = name === 'LIVE.jpg'
        ? { livePhotoVideoId: (await upload('LIVE.mov', await readFile(join(folder, 'LIVE.mov')), { visibility: 'hidden' })).id }
        : {};
      assert.equal((await upload(name, bytes, live)).status, 'created', name);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return count;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 1200; !(await condition()); left--) {
    assert(left > 0, `not within two minutes: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function look(): Promise<void> {
  const one = [...assets.values()].find((asset) => asset.originalFileName === 'LIVE.jpg');
  assert(one?.livePhotoVideoId, 'the photo knows its video');
  assert.equal(assets.get(one.livePhotoVideoId)?.visibility, 'hidden');
  const thumbnail = await call('GET', `/assets/${one.id}/thumbnail?size=thumbnail`);
  assert.equal(thumbnail.headers.get('content-type'), 'image/webp');
  await thumbnail.arrayBuffer();
  const found = await ok('POST', '/search/metadata', { originalFileName: 'LIVE.jpg' });
  assert.deepEqual(found.assets.items.map((item: Row) => item.id), [one.id]);
  await ok('DELETE', '/assets', { ids: [one.id] });
  await sync();
  assert(assets.get(one.id)?.deletedAt, 'the trash is in the sync');
  await ok('POST', '/trash/restore/assets', { ids: [one.id] });
  await sync();
  assert.equal(assets.get(one.id)?.deletedAt, null);
}

async function logOut(socket: Socket): Promise<void> {
  const ended = new Promise((resolve) => socket.once('on_session_delete', resolve));
  const closed = new Promise((resolve) => socket.once('disconnect', resolve));
  await ok('POST', '/auth/logout');
  await ended;
  await closed;
  assert.equal((await call('GET', '/users/me')).status, 401);
}

await discover();
await logIn();
const { socket, ready } = await listen();
const first = await sync();
assert.equal(first.AuthUserV1, 1);
assert.equal(first.AssetV2 ?? 0, 0);
const photos = await backUp();
await until(`${photos} photos are ready`, () => ready.length >= photos);
const second = await sync();
assert.equal(second.AssetV2, photos + 1, 'all photos, and the video of one');
for (const { asset } of ready) {
  assert.equal(assets.get(asset.id)?.checksum, asset.checksum, 'what the socket told is what the sync brought');
  assert(assets.get(asset.id)?.thumbhash);
}
assert.equal(await backUp(), 0, 'everything is backed up');
// Faces and the search are still looked for; what that changes comes, and then nothing more.
await until('there is nothing more to come', async () => {
  const more = Object.keys(await sync()).join() !== 'SyncCompleteV1';
  return !more && exifs.size === photos + 1;
});
await look();
await logOut(socket);
console.log(`${photos} photos backed up, synced, searched`);
