// The page in a real Chromium: signs up, uploads real photos and bad ones, looks, searches, names and merges people, loses its
// session and its server and goes on.
//
//   node run.mjs URL PHOTOS [--shots DIR] [--search TEXT=FILE]... [--people N]
//
// Exits with 0, or with 1 and a sentence about the step that failed (and a screenshot of it in DIR).

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, folder, ...rest] = process.argv.slice(2);
const options = { shots: '', search: [], people: 0 };
for (let at = 0; at < rest.length; at += 2) {
  const [name, value] = [rest[at].replace('--', ''), rest[at + 1]];
  if (name === 'search') options.search.push(value.split('='));
  else options[name] = value;
}
const photos = readdirSync(folder)
  .filter((name) => /\.(jpe?g|png|webp|heic|avif|gif)$/i.test(name))
  .sort()
  .map((name) => join(folder, name));
assert(photos.length > 0, `there are no photos in ${folder}`);
if (options.shots) mkdirSync(options.shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
page.setDefaultTimeout(45_000);

// What the page did not mean to do: errors, refused styles and scripts, requests to anybody else. A step that provokes errors
// says which ones.
const faults = [];
let forgiven = null;
page.on('console', (message) => {
  if (message.type() === 'error' && !forgiven?.test(message.text())) faults.push(`${step}: console: ${message.text()}`);
});
page.on('pageerror', (error) => faults.push(`${step}: error: ${error.message}`));
page.on('request', (request) => {
  const to = new URL(request.url());
  if (!['data:', 'blob:'].includes(to.protocol) && to.host !== new URL(url).host) faults.push(`a request to ${to.host}`);
});
const told = [];
page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => told.push(String(payload))));
page.on('dialog', (dialog) => void dialog.accept());

let step = 'start';
let uploaded = 0;
const shot = async (name) => options.shots && page.screenshot({ path: join(options.shots, `${name}.png`) });
const tiles = () => page.locator('a[data-id]');
const viewer = () => page.getByRole('dialog');
const picker = () => page.getByLabel('Choose photos to upload');
const closeUploads = () => page.getByRole('button', { name: 'Close the list of uploads' }).click();
const go = (name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();

/** A photo that the server does not know yet: bytes after the end of a picture are nothing to look at. */
const another = (name) => ({
  name,
  mimeType: 'image/jpeg',
  buffer: Buffer.concat([readFileSync(photos.find((photo) => photo.endsWith('.jpg'))), Buffer.from(name)]),
});

const added = (count) =>
  page.getByRole('button', { name: `${count} ${count === 1 ? 'photo' : 'photos'} added`, exact: true }).waitFor();

async function signIn(password = 'correct horse') {
  await page.getByLabel('Email').fill('ann@example.org');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Remembers what each bar has shown, from now on. */
const watchBars = () =>
  page.evaluate(() => {
    window.bars = {};
    const look = () => {
      for (const bar of document.querySelectorAll('progress')) {
        const seen = (window.bars[bar.getAttribute('aria-label')] ??= { values: [], max: bar.max, done: false });
        if (seen.values.at(-1) !== bar.value) seen.values.push(bar.value);
      }
      for (const row of document.querySelectorAll('section[aria-label=Uploads] li')) {
        const [name, state] = row.querySelectorAll('span');
        if (state.textContent !== 'Done') continue;
        (window.bars[name.textContent] ??= { values: [], max: 0, done: false }).done = true;
      }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  });

/** Scrolls up and down until so many developed photos have been seen. */
const seeAll = (count) =>
  page.waitForFunction((count) => {
    const seen = (window.seen ??= new Set());
    for (const tile of document.querySelectorAll('a[data-id]')) if (tile.querySelector('img.blur')) seen.add(tile.dataset.id);
    const isEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    scrollTo(0, isEnd ? 0 : scrollY + innerHeight / 2);
    return seen.size >= count && seen.size;
  }, count, { polling: 50 });

/** A drop of files and folders; what cannot be read is an entry that says so. */
const drop = (names, bytes) =>
  page.evaluate(
    ([names, bytes]) => {
      const fileEntry = (name) => ({
        name,
        isFile: true,
        file: (resolve, reject) =>
          name.startsWith('unreadable') ? reject(new DOMException('gone')) : resolve(new File([new Uint8Array(bytes), name], name)),
      });
      const folder = { name: 'folder', isFile: false, createReader: () => ({ readEntries: (resolve) => resolve(left.splice(0, 100)) }) };
      const left = names.map(fileEntry);
      const items = [{ kind: 'file', webkitGetAsEntry: () => folder, getAsFile: () => null }];
      const event = new DragEvent('drop', { bubbles: true, cancelable: true });
      Object.defineProperty(event, 'dataTransfer', { value: { types: ['Files'], items, files: [] } });
      document.body.dispatchEvent(event);
    },
    [names, [...bytes]],
  );

const steps = {
  'creates the first account': async () => {
    await page.goto(url);
    await page.getByRole('heading', { name: 'Welcome to Latent' }).waitFor();
    await shot('1-setup');
    await page.getByLabel('Name').fill('Ann');
    await page.getByLabel('Email').fill('ann@example.org');
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('heading', { name: 'Drop photos anywhere' }).waitFor();
    assert.equal(await page.title(), 'Photos · Latent');
    await shot('2-empty');
  },
  'uploads, with progress for each and in all': async () => {
    await watchBars();
    await picker().setInputFiles(photos);
    await page.getByRole('region', { name: 'Uploads' }).waitFor();
    await shot('3-uploading');
    await added(photos.length);
    uploaded = photos.length;
    const bars = await page.evaluate(() => window.bars);
    const all = bars['All uploads'];
    assert(all?.values.some((value) => value > 0 && value < all.max), `the bar of all: ${JSON.stringify(all)}`);
    for (const name of photos.map((photo) => basename(photo))) {
      const bar = bars[name];
      assert(bar && (bar.done || bar.values.length > 1), `${name}: ${JSON.stringify(bar)}`);
    }
    const moved = photos.filter((photo) => bars[basename(photo)].values.length > 1);
    assert(moved.length > photos.length / 2, `only ${moved.length} bars moved`);
  },
  'shows every photo by itself, without a reload': async () => {
    await seeAll(photos.length);
    await page.evaluate(() => scrollTo(0, 0));
    await page.waitForFunction(() => document.querySelector('a[data-id] img.photo.shown'));
    await closeUploads();
    assert(told.some((frame) => frame.includes('on_upload_success')), 'the websocket tells of what is developed');
    await shot('4-timeline');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot('5-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 390, height: 800 });
    await shot('6-phone');
    await page.setViewportSize({ width: 1280, height: 860 });
  },
  'refuses a duplicate kindly': async () => {
    await picker().setInputFiles(photos.slice(0, 1));
    await page.getByText('1 already here').waitFor();
    await closeUploads();
  },
  'keeps a failed upload until it is tried again': async () => {
    forgiven = /status of 500/;
    const refuse = (route) => route.fulfill({ status: 500, json: { message: 'the disk is full' } });
    await page.route('**/api/assets', refuse);
    await picker().setInputFiles([another('failed.jpg')]);
    await page.getByText('the disk is full').waitFor();
    await page.unroute('**/api/assets', refuse);
    await picker().setInputFiles([another('later.jpg')]);
    await added(1);
    await page.getByText('failed.jpg').waitFor();
    await shot('3-failed');
    await page.getByRole('button', { name: 'Try 1 again' }).click();
    await added(2);
    uploaded += 2;
    await closeUploads();
  },
  'takes folders, and what it can of them': async () => {
    await drop(['dropped.jpg', 'unreadable.jpg', 'Thumbs.db', 'other.jpg'], another('drop').buffer);
    await added(2);
    await page.getByText('1 file was left out').waitFor();
    await page.getByText('1 file could not be read').waitFor();
    await closeUploads();
    const folder = mkdtempSync(join(tmpdir(), 'latent-folder-'));
    mkdirSync(join(folder, 'inner'));
    writeFileSync(join(folder, 'inner', 'chosen.jpg'), another('chosen.jpg').buffer);
    writeFileSync(join(folder, 'metadata.json'), '{}');
    await page.getByLabel('Choose a folder to upload').setInputFiles(folder);
    await added(1);
    rmSync(folder, { recursive: true });
    uploaded += 3;
    await closeUploads();
  },
  'marks a file that is no picture': async () => {
    await picker().setInputFiles([{ name: 'broken.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture at all') }]);
    await added(1);
    await closeUploads();
    await page.getByRole('link', { name: /cannot be shown/ }).click();
    await viewer().getByRole('heading', { name: 'This file cannot be shown' }).waitFor();
    await shot('7-broken');
    await page.keyboard.press('Delete');
    await page.getByText('Moved to the trash.').waitFor();
    await page.keyboard.press('Escape');
    await viewer().waitFor({ state: 'detached' });
    await seeAll(uploaded);
  },
  'opens a photo, walks and closes by keyboard': async () => {
    await page.evaluate(() => {
      document.activeElement?.blur();
      scrollTo(0, 0);
    });
    // Tiles that are scrolled away go, and those at the top come, with the next frame.
    await page.waitForFunction(() => {
      const tops = [...document.querySelectorAll('a[data-id]')].map((tile) => tile.getBoundingClientRect().top);
      return scrollY === 0 && Math.min(...tops) > 0 && Math.min(...tops) < innerHeight / 2;
    });
    await page.keyboard.press('ArrowRight');
    const first = await page.evaluate(() => document.activeElement?.getAttribute('data-id'));
    assert(first, 'an arrow key chooses the first photo');
    await page.keyboard.press('Enter');
    await viewer().locator('img.photo.shown').waitFor();
    await page.keyboard.press('i');
    await page.getByRole('complementary', { name: 'Details' }).waitFor();
    await shot('7-viewer');
    await page.keyboard.press('i');
    // Right and left again at once, without waiting: the neighbours are those of what is shown.
    const [before, length] = await page.evaluate(() => [location.href, history.length]);
    await page.locator('[aria-label="Next photo"][aria-disabled=false]').waitFor();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowLeft');
    assert.equal(page.url(), before);
    await page.keyboard.press('ArrowRight');
    assert.notEqual(page.url(), before);
    await viewer().locator('img.photo.shown').waitFor();
    await page.keyboard.press('Escape');
    await viewer().waitFor({ state: 'detached' });
    assert.deepEqual([new URL(page.url()).pathname, await page.evaluate(() => history.length)], ['/', length]);
  },
  'comes back to where one was': async () => {
    await page.evaluate(() => scrollTo(0, 700));
    await go('Favourites');
    await page.getByRole('heading', { name: 'No favourites yet' }).waitFor();
    assert.equal(await page.evaluate(() => scrollY), 0);
    await page.goBack();
    await page.waitForFunction(() => scrollY === 700 && document.querySelectorAll('a[data-id]').length > 0);
    await page.evaluate(() => scrollTo(0, 0));
  },
  'keeps a favourite': async () => {
    await tiles().first().click();
    await viewer().locator('img.photo.shown').waitFor();
    await page.keyboard.press('f');
    await page.getByRole('button', { name: 'Favourite', pressed: true }).waitFor();
    await page.keyboard.press('Escape');
    await go('Favourites');
    await page.waitForFunction(() => document.querySelectorAll('a[data-id]').length === 1);
    await go('Photos');
  },
  'moves to the trash and takes back': async () => {
    await tiles().nth(1).click();
    const gone = await page.waitForFunction(() => location.pathname.split('/photos/')[1]);
    const id = await gone.jsonValue();
    await viewer().locator('img.photo.shown').waitFor();
    await page.keyboard.press('Delete');
    await page.waitForFunction((id) => !location.pathname.includes(id), id);
    await page.getByRole('button', { name: 'Undo' }).last().click();
    await page.keyboard.press('Escape');
    await page.locator(`a[data-id="${id}"]`).waitFor();
  },
  'finds by words': async () => {
    for (const [text, file] of options.search) {
      await page.keyboard.press('/');
      await page.getByRole('searchbox').fill(text);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: text }).waitFor();
      await tiles().first().click();
      await page.getByRole('dialog', { name: file }).waitFor();
      await shot(`8-search-${file}`);
      await page.keyboard.press('Escape');
      await viewer().waitFor({ state: 'detached' });
      await page.getByRole('heading', { name: text }).waitFor();
      await tiles().nth(5).waitFor();
      await shot(`8-results-${file}`);
    }
    await go('Photos');
  },
  'names a person in the row': async () => {
    if (Number(options.people) === 0) return;
    await page.waitForFunction((least) => document.querySelectorAll('.face').length >= least, Number(options.people));
    const row = page.getByRole('region', { name: 'People' });
    await row.getByRole('button', { name: 'Add name' }).first().click();
    await row.getByRole('textbox', { name: 'Name' }).fill('Grace');
    await page.keyboard.press('Enter');
    await row.getByRole('button', { name: 'Grace' }).waitFor();
    await shot('9-row');
    await go('People');
    await page.getByRole('button', { name: 'Grace' }).waitFor();
    await shot('9-people');
    await page.reload();
    await page.getByRole('link', { name: 'Grace' }).click();
    await page.waitForFunction(() => document.querySelectorAll('a[data-id]').length >= 3);
    await shot('10-person');
  },
  'merges two people, whose photos are then there': async () => {
    if (Number(options.people) < 2) return;
    const [before, length] = [await tiles().count(), await page.evaluate(() => history.length)];
    await page.getByRole('button', { name: 'Same person as…' }).click();
    await viewer().getByRole('button', { name: 'Somebody without a name' }).first().click();
    await page.getByText('They are one person now.').waitFor();
    await page.waitForFunction((before) => document.querySelectorAll('a[data-id]').length > before, before);
    await page.getByRole('button', { name: 'Grace' }).waitFor();
    assert.equal(await page.evaluate(() => history.length), length);
    await shot('11-merged');
  },
  'hides a person and shows them again': async () => {
    if (Number(options.people) === 0) return;
    await page.getByRole('button', { name: 'Hide' }).click();
    await page.getByRole('button', { name: 'Show 1 hidden person' }).click();
    await page.getByRole('button', { name: 'Show again' }).click();
    await page.getByRole('button', { name: 'Grace' }).waitFor();
    await page.getByRole('button', { name: 'Show again' }).waitFor({ state: 'detached' });
    await go('Photos');
  },
  'waits for a server that is gone, and goes on': async () => {
    forgiven = /ERR_INTERNET_DISCONNECTED/;
    await page.context().setOffline(true);
    await page.getByText('The server does not answer.').waitFor();
    await picker().setInputFiles([another('patient.jpg')]);
    await page.getByText('Waiting for the server: 0 of 1').waitFor();
    await shot('12-gone');
    await page.context().setOffline(false);
    await page.getByText('The server does not answer.').waitFor({ state: 'detached' });
    await added(1);
    await closeUploads();
  },
  'asks who is signed out to sign in, and goes on with the uploads': async () => {
    forgiven = /status of 401/;
    await go('Favourites');
    // The session ends while the file is on its way, for this request and all others.
    const end = async (route) => {
      await page.context().clearCookies();
      await route.fulfill({ status: 401, json: { message: 'Authentication required' } });
    };
    await page.route('**/api/assets', end, { times: 1 });
    await picker().setInputFiles([another('signed-out.jpg')]);
    await page.getByText('You were signed out. Sign in to go on with your uploads.').waitFor();
    await shot('13-signed-out');
    await signIn();
    await added(1);
    await page.getByRole('heading', { name: 'Favourites' }).waitFor();
  },
  'signs out and in again': async () => {
    forgiven = /status of 401/;
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('Sign in to your photos.').waitFor();
    await signIn('wrong');
    await page.getByRole('alert').waitFor();
    await signIn();
    await tiles().first().waitFor();
  },
  'did nothing that it should not': async () => {
    assert.deepEqual(faults, []);
  },
};

try {
  for (const [name, run] of Object.entries(steps)) {
    step = name;
    const began = Date.now();
    await run();
    forgiven = null;
    console.log(`ok: ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  }
} catch (error) {
  await shot('failed').catch(() => {});
  console.error(`The page failed at: ${step}\n${error.stack ?? error}\n${faults.join('\n')}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
