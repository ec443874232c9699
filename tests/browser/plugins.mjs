// The page's plugins in a real Chromium: installs one from a file, refuses it something, upgrades it, goes back, removes it.
//
//   node plugins.mjs URL ONE.wasm TWO.wasm [SHOTS]
//
// ann@example.org is there, and TWO asks for more than ONE. Exits with 0, or with 1 and a sentence about the step that failed.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [url, one, two, shots] = process.argv.slice(2);
if (shots) mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 960 } });
page.setDefaultTimeout(45_000);
const faults = [];
let forgiven = null;
page.on('console', (message) => {
  if (message.type() === 'error' && !forgiven?.test(message.text())) faults.push(`console: ${message.text()}`);
});
page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
page.on('dialog', (dialog) => void dialog.accept());
const shot = async (name) => shots && page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
const dialog = () => page.getByRole('dialog');
const card = () => page.getByRole('article', { name: 'Example faces', exact: true });

const steps = {
  'an administrator finds the plugins': async () => {
    // Who is not signed in yet is told so.
    forgiven = /status of 401/;
    await page.goto(url);
    await page.getByLabel('Email').fill('ann@example.org');
    await page.getByLabel('Password').fill('correct horse');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('link', { name: 'Plugins' }).click();
    await page.getByRole('heading', { name: 'Plugins', exact: true }).waitFor();
    const pinned = page.getByRole('article').filter({ hasText: 'latent.face-detection' });
    await pinned.getByText('Pinned by the settings').waitFor();
    assert.equal(await pinned.getByRole('button').count(), 0, 'what is pinned cannot be changed here');
    assert.equal(await page.title(), 'Plugins · Latent');
    forgiven = null;
  },
  'an unsigned file is refused in the words of the server': async () => {
    forgiven = /status of 400/;
    await page.getByRole('button', { name: 'Install a plugin' }).click();
    assert(await dialog().getByRole('button', { name: 'Go on' }).isDisabled(), 'nothing is named yet');
    await dialog().getByLabel('Component').setInputFiles(one);
    await dialog().getByRole('button', { name: 'Go on' }).click();
    await dialog().getByText('org.example.faces is not signed').waitFor();
    forgiven = null;
  },
  'what it asks for is shown before anything runs': async () => {
    await dialog().getByLabel('I develop plugins').check();
    await dialog().getByRole('button', { name: 'Go on' }).click();
    await dialog().getByText('sees the pixels of your photos').waitFor();
    await shot('plugins-1-approval');
    await dialog().getByLabel('Let it see pixels').uncheck();
    await dialog().getByRole('button', { name: 'Approve and run' }).click();
    await card().getByText('Running', { exact: true }).waitFor();
    assert.equal(await card().getByText('sees the pixels').count(), 0, 'it was refused');
    await card().getByText('Signed by nobody whom you trust').waitFor();
  },
  'an upgrade that asks for more waits in sight': async () => {
    await card().getByRole('button', { name: 'Upgrade' }).click();
    await dialog().getByLabel('Component').setInputFiles(two);
    await dialog().getByLabel('I develop plugins').check();
    await dialog().getByRole('button', { name: 'Go on' }).click();
    await dialog().getByText('works on up to 2 calls at once').waitFor();
    await dialog().getByRole('button', { name: 'Not now' }).click();
    await card().getByText('Version 2.0.0 waits for your approval').waitFor();
    await shot('plugins-2-waiting');
    await card().getByRole('button', { name: 'Approve and switch' }).click();
    await card().getByRole('button', { name: 'Back to 1.0.0' }).waitFor();
  },
  'one step back, off and on': async () => {
    await card().getByRole('button', { name: 'Back to 1.0.0' }).click();
    await card().getByRole('button', { name: 'Back to 2.0.0' }).waitFor();
    await card().getByRole('button', { name: 'Turn off' }).click();
    await card().getByText('Off', { exact: true }).waitFor();
    await card().getByRole('button', { name: 'Turn on' }).click();
    await card().getByText('Running', { exact: true }).waitFor();
    await page.emulateMedia({ colorScheme: 'dark' });
    await shot('plugins-3-dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 390, height: 800 });
    await shot('plugins-4-phone');
    await page.setViewportSize({ width: 1280, height: 960 });
  },
  'a key is trusted, and no more': async () => {
    const keys = page.getByRole('region', { name: 'Trusted keys' });
    forgiven = /status of 400/;
    await keys.getByLabel('Public key').fill('nonsense');
    await keys.getByLabel('For ids that begin with').fill('org.example');
    await keys.getByRole('button', { name: 'Trust' }).click();
    await keys.getByText('this is no public key').waitFor();
    forgiven = null;
    await keys.getByLabel('Public key').fill('RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3');
    await keys.getByRole('button', { name: 'Trust' }).click();
    await keys.getByText('by E7620F1842B4E81F').waitFor();
    await keys.getByRole('button', { name: 'Remove' }).click();
    await keys.getByText('None yet.').waitFor();
  },
  'it is removed': async () => {
    await card().getByRole('button', { name: 'Remove' }).click();
    await card().waitFor({ state: 'detached' });
  },
};

for (const [name, run] of Object.entries(steps)) {
  try {
    await run();
    assert.deepEqual(faults, []);
  } catch (error) {
    if (shots) await page.screenshot({ path: join(shots, 'plugins-failed.png') }).catch(() => {});
    console.error(`${name}: ${error.message}`);
    await browser.close();
    process.exit(1);
  }
}
await browser.close();
