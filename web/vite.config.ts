import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` talks to a server that runs already: LATENT_URL=http://127.0.0.1:2283
const server = process.env.LATENT_URL ?? 'http://127.0.0.1:2283';

export default defineConfig({
  plugins: [svelte()],
  build: { modulePreload: { polyfill: false }, assetsInlineLimit: 0, target: 'es2022' },
  server: { proxy: { '/api': { target: server, ws: true } } },
});
