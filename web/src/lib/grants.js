// What an administrator approves of what a plugin asks for. Plain JavaScript, so that Node can test it.

/**
 * @typedef {Record<string, unknown>} Requests In the shape of the manifest's [requests].
 * @typedef {{ refused: Set<string>, models: Record<string, string> }} Choice
 */

/** Labels that need a model of this server.
 * @param {Requests} requests
 * @param {Requests} grants
 * @returns {string[]} */
export function unbound(requests, grants) {
  const bound = /** @type {Record<string, string>} */ (grants.models ?? {});
  return /** @type {string[]} */ (requests.models ?? []).filter((label) => !(label in bound));
}

/** What can be refused by itself: the rest are sizes, which a ceiling in the settings bounds.
 * @param {Requests} requests
 * @returns {string[]} */
export function refusable(requests) {
  return ['pixels', 'http', 'kv', 'secrets'].filter((name) => {
    const asked = requests[name];
    return asked !== undefined && asked !== null && asked !== false && !(Array.isArray(asked) && asked.length === 0);
  });
}

/** What differs from all that is asked for, as the server takes it.
 * @param {Choice} choice
 * @returns {Requests} */
export function changes(choice) {
  /** @type {Requests} */
  const differing = {};
  for (const name of choice.refused) differing[name] = false;
  if (Object.keys(choice.models).length > 0) differing.models = choice.models;
  return differing;
}

/** Is anything missing before it can be approved?
 * @param {Requests} requests
 * @param {Requests} grants
 * @param {Choice} choice */
export const isComplete = (requests, grants, choice) => unbound(requests, grants).every((label) => choice.models[label]);

/** A source that the server can fetch from, or why it is none.
 * @param {string} text */
export function sourceFault(text) {
  const source = text.trim();
  if (source === '') return 'Say where the plugin is.';
  if (/^http:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/]/.test(source)) return '';
  if (/^http:\/\//.test(source)) return 'Over http anybody on the way could change it: use https.';
  return /^(https:\/\/|oci:\/\/|index\+https?:\/\/.+#)/.test(source) ? '' : 'Begin with https:// or oci://, or choose a file.';
}
