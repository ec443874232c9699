// Videos in the page, in a real Chromium: the badge on a tile, a video that had to be made playable, a photo that moves.
//
//   node video.mjs URL
//
// The library of URL holds one video and one photo that moves, of ann@example.org. Exits with 0, or with 1 and a sentence.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required', '--mute-audio', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
page.setDefaultTimeout(30_000);
const faults = [];
page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
page.on('pageerror', (error) => faults.push(error.message));

/** The video of the viewer has frames, and its time goes on. */
const plays = () =>
  page.waitForFunction(() => {
    const video = document.querySelector('dialog video');
    if (video?.error) throw new Error(`the video cannot be played: ${video.error.message}`);
    return video && video.readyState >= 2 && video.videoWidth > 0 && video.currentTime > 0;
  });

try {
  await page.goto(url);
  await page.getByLabel('Email').fill('ann@example.org');
  await page.getByLabel('Password').fill('correct horse');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('a[data-id]').nth(1).waitFor();
  // Who is not signed in yet is told so.
  assert(faults.splice(0).every((fault) => /status of 401/.test(fault)));
  assert.equal(await page.locator('a[data-id]').count(), 2, 'the part that moves is not seen by itself');
  assert.match(await page.getByRole('link', { name: /^Video of/ }).innerText(), /0:01/);
  await page.getByRole('link', { name: /^Video of/ }).click();
  await plays();
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('link', { name: /^Photo of/ }).click();
  await page.getByRole('button', { name: 'Play the moving part' }).click();
  await plays();
  // It ends by itself, and the photo is there again.
  await page.waitForFunction(() => !document.querySelector('dialog video'));
  assert.deepEqual(faults, []);
  await browser.close();
} catch (error) {
  console.error(`${error.message}\n${faults.join('\n')}`);
  await browser.close();
  process.exit(1);
}
