// Plugins, in the shapes of /api/latent/plugins.

import { call, del, get, post, put } from './api';

export interface Release {
  version: string;
  digest: string;
  source: string;
  signedBy: { key: string; trusted: boolean } | null;
  requests: Record<string, unknown>;
  grants: Record<string, unknown>;
  /** Sentences that begin with the plugin. */
  asks: string[];
  may: string[];
  /** Of one that waits: what an approval would add. */
  wider?: string[];
}

export interface Plugin {
  id: string;
  title: string;
  description: string;
  licence: string;
  world: string;
  /** By the settings: it is changed there. */
  pinned: boolean;
  enabled: boolean;
  health: { state: string; why: string | null };
  active: Release | null;
  previous: Release | null;
  staged: Release | null;
  ceiling?: string[] | null;
  /** Names that can be bound to labels. */
  models?: string[];
}

export interface Key {
  key: string;
  publicKey: string;
  prefix: string;
}

const at = (id: string, verb: string) => `/latent/plugins/${encodeURIComponent(id)}/${verb}`;

export const list = () => get<Plugin[]>('/latent/plugins');
export const approve = (id: string, grants: unknown) => post<Plugin>(at(id, 'approve'), { grants });
export const grant = (id: string, grants: unknown) => put<Plugin>(at(id, 'grants'), { grants });
export const setEnabled = (id: string, enabled: boolean) => post<Plugin>(at(id, enabled ? 'enable' : 'disable'));
export const rollback = (id: string) => post<Plugin>(at(id, 'rollback'));
export const discard = (id: string) => post<void>(at(id, 'discard'));
export const remove = (id: string) => del<void>(`/latent/plugins/${encodeURIComponent(id)}`);
export const keys = () => get<Key[]>('/latent/plugin-keys');
export const trust = (publicKey: string, prefix: string) => post<Key>('/latent/plugin-keys', { publicKey, prefix });
export const distrust = (key: Key) => del<void>('/latent/plugin-keys', { publicKey: key.publicKey, prefix: key.prefix });

export interface Offer {
  /** Where to fetch it; without one, the files. */
  source: string;
  component: File | null;
  signature: File | null;
  allowUnsigned: boolean;
}

/** Takes a plugin, or with `upgrade` another version of that one. */
export async function take(offer: Offer, upgrade?: string): Promise<Plugin> {
  if (!offer.component) {
    const path = upgrade === undefined ? '/latent/plugins' : at(upgrade, 'upgrade');
    return post<Plugin>(path, { source: offer.source.trim() || undefined, allowUnsigned: offer.allowUnsigned });
  }
  const form = new FormData();
  form.append('component', offer.component);
  if (offer.signature) form.append('signature', await offer.signature.text());
  form.append('allowUnsigned', String(offer.allowUnsigned));
  if (upgrade !== undefined) form.append('upgrade', upgrade);
  return call<Plugin>('POST', '/latent/plugins/upload', form);
}
