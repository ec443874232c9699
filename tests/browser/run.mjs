// The page in a real Chromium: signs up, uploads real photos, waits, looks, searches, names a person, signs out and in.
//
//   node run.mjs URL PHOTOS [--shots DIR] [--search TEXT=FILE]... [--people N]
//
// Exits with 0, or with 1 and a sentence about the step that failed (and a screenshot of it in DIR).

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
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
page.setDefaultTimeout(60_000);

// What the page did not mean to do: errors, refused styles and scripts, requests to anybody else.
const faults = [];
page.on('console', (message) => {
  const expected = /status of (401|400|404)/.test(message.text());
  if (message.type() === 'error' && !expected) faults.push(`console: ${message.text()}`);
});
page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
page.on('request', (request) => {
  const to = new URL(request.url());
  if (!['data:', 'blob:'].includes(to.protocol) && to.host !== new URL(url).host) faults.push(`a request to ${to.host}`);
});

let step = 'start';
const shot = async (name) => options.shots && page.screenshot({ path: join(options.shots, `${name}.png`) });
const tiles = () => page.locator('a[data-id]');
/** Tiles whose photo has been drawn. */
const drawn = () => page.locator('a[data-id] img.photo.shown');

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
    await shot('2-empty');
  },
  'uploads, with progress for each and in all': async () => {
    await page.getByLabel('Choose photos to upload').setInputFiles(photos);
    await page.getByRole('region', { name: 'Uploads' }).waitFor();
    await page.getByRole('progressbar', { name: 'All uploads' }).waitFor();
    await shot('3-uploading');
    await page.getByText(`${photos.length} photos added`).waitFor();
  },
  'shows every photo by itself, without a reload': async () => {
    await tiles().first().waitFor();
    await page.waitForFunction(() => {
      const all = [...document.querySelectorAll('a[data-id]')];
      return all.length > 0 && all.every((tile) => tile.querySelector('img.blur'));
    });
    await page.waitForFunction(() => document.querySelector('a[data-id] img.photo.shown'));
    assert((await drawn().count()) > 0);
    await page.getByRole('button', { name: 'Close the list of uploads' }).click();
    await shot('4-timeline');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot('5-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 390, height: 800 });
    await shot('6-phone');
    await page.setViewportSize({ width: 1280, height: 860 });
  },
  'refuses a duplicate kindly': async () => {
    await page.getByLabel('Choose photos to upload').setInputFiles(photos.slice(0, 1));
    await page.getByText('1 already here').waitFor();
    await page.getByRole('button', { name: 'Close the list of uploads' }).click();
  },
  'opens a photo, walks and closes by keyboard': async () => {
    await page.keyboard.press('ArrowRight');
    const first = await page.evaluate(() => document.activeElement?.getAttribute('data-id'));
    assert(first, 'an arrow key chooses the first photo');
    await page.keyboard.press('Enter');
    const viewer = page.getByRole('dialog');
    await viewer.locator('img.photo.shown').waitFor();
    await page.keyboard.press('i');
    await page.getByRole('complementary', { name: 'Details' }).waitFor();
    await shot('7-viewer');
    await page.keyboard.press('i');
    const before = page.url();
    await viewer.getByRole('button', { name: 'Next photo' }).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction((old) => location.href !== old, before);
    await viewer.locator('img.photo.shown').waitFor();
    await page.keyboard.press('Escape');
    await viewer.waitFor({ state: 'detached' });
  },
  'keeps a favourite': async () => {
    await tiles().first().click();
    await page.getByRole('dialog').locator('img.photo.shown').waitFor();
    await page.keyboard.press('f');
    await page.getByRole('button', { name: 'Favourite', pressed: true }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('link', { name: 'Favourites' }).click();
    await page.waitForFunction(() => document.querySelectorAll('a[data-id]').length === 1);
    await page.getByRole('link', { name: 'Photos', exact: true }).click();
  },
  'moves to the trash and takes back': async () => {
    await tiles().nth(1).click();
    const gone = await page.waitForFunction(() => location.pathname.split('/photos/')[1]);
    const id = await gone.jsonValue();
    await page.getByRole('dialog').locator('img.photo.shown').waitFor();
    await page.keyboard.press('Delete');
    await page.getByText('Moved to the trash.').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
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
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      await page.getByRole('heading', { name: text }).waitFor();
      await tiles().nth(5).waitFor();
      await shot(`8-results-${file}`);
    }
    await page.getByRole('link', { name: 'Photos', exact: true }).click();
  },
  'names a person': async () => {
    if (Number(options.people) === 0) return;
    await page.getByRole('link', { name: 'People', exact: true }).click();
    await page.waitForFunction((least) => document.querySelectorAll('.face').length >= least, Number(options.people));
    await page.getByRole('button', { name: 'Add a name' }).first().click();
    await page.getByRole('textbox', { name: 'Name' }).fill('Grace');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Grace' }).waitFor();
    await shot('9-people');
    await page.reload();
    await page.getByRole('button', { name: 'Grace' }).waitFor();
    await page.getByRole('link', { name: 'Grace' }).click();
    await page.waitForFunction(() => document.querySelectorAll('a[data-id]').length >= 3);
    await shot('10-person');
  },
  'signs out and in again': async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Email').fill('ann@example.org');
    await page.getByLabel('Password').fill('wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').waitFor();
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await tiles().first().waitFor();
  },
  'did nothing that it should not': async () => {
    assert.deepEqual(faults, []);
  },
};

try {
  for (const [name, run] of Object.entries(steps)) {
    step = name;
    await run();
    console.log(`ok: ${name}`);
  }
} catch (error) {
  await shot('failed').catch(() => {});
  console.error(`The page failed at: ${step}\n${error.stack ?? error}\n${faults.join('\n')}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
