// The server, in the shapes of Immich's API.

import { isGone, reach } from './reach.svelte';

export class ApiError extends Error {
  /** `status`: of HTTP; 0 where there was no answer. */
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Told when the server no longer knows who is here. */
let onSignedOut = () => {};
export const whenSignedOut = (listener: () => void) => (onSignedOut = listener);
export const signedOut = () => onSignedOut();

export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await ask(method, path, body);
  if (!response.ok) {
    const error = new ApiError(response.status, await words(response));
    if (error.status === 401) signedOut();
    if (isGone(error.status)) void reach.doubt();
    throw error;
  }
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

async function ask(method: string, path: string, body: unknown): Promise<Response> {
  try {
    return await fetch(`/api${path}`, {
      method,
      // A form says itself what it is.
      headers: body === undefined || body instanceof FormData ? {} : { 'content-type': 'application/json' },
      body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
    });
  } catch {
    void reach.doubt();
    throw new ApiError(0, 'the server cannot be reached');
  }
}

/** An error as a sentence. */
export const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

async function words(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { message?: string; errors?: { path?: string[]; message?: string }[] };
    const fields = body.errors?.map((error) => `${error.path?.join('.') ?? ''} ${error.message ?? ''}`.trim());
    return fields?.length ? fields.join(', ') : (body.message ?? response.statusText);
  } catch {
    return response.statusText || `the server answered ${response.status}`;
  }
}

export const get = <T>(path: string) => call<T>('GET', path);
export const post = <T>(path: string, body: unknown = {}) => call<T>('POST', path, body);
export const put = <T>(path: string, body: unknown) => call<T>('PUT', path, body);
export const del = <T>(path: string, body?: unknown) => call<T>('DELETE', path, body);

export interface User {
  id: string;
  name: string;
  email: string;
  isAdmin: boolean;
}

export interface Features {
  smartSearch: boolean;
  facialRecognition: boolean;
}

export interface Person {
  id: string;
  name: string;
  isHidden: boolean;
  updatedAt?: string;
}

export interface Exif {
  make?: string | null;
  model?: string | null;
  lensModel?: string | null;
  exposureTime?: string | null;
  fNumber?: number | null;
  focalLength?: number | null;
  iso?: number | null;
  city?: string | null;
  state?: string | null;
  country?: string | null;
  description?: string | null;
  fileSizeInByte?: number | null;
  latitude?: number | null;
  longitude?: number | null;
}

export interface Asset {
  id: string;
  type: 'IMAGE' | 'VIDEO' | 'AUDIO' | 'OTHER';
  originalFileName: string;
  originalMimeType?: string;
  thumbhash: string | null;
  localDateTime: string;
  fileCreatedAt: string;
  isFavorite: boolean;
  isTrashed: boolean;
  width: number | null;
  height: number | null;
  /** Milliseconds of a video. */
  duration?: number | null;
  /** The part of a photo that moves. */
  livePhotoVideoId?: string | null;
  exifInfo?: Exif;
  people?: Person[];
}

/** What a tile needs to know. */
export interface Item {
  id: string;
  ratio: number;
  thumbhash: string | null;
  isFavorite: boolean;
  isImage: boolean;
  /** A photo with a part that moves. */
  isLive: boolean;
  /** Milliseconds. */
  duration: number | null;
  /** Wall clock where it was taken, as if it were UTC. */
  taken: Date;
}

export function item(asset: Asset): Item {
  return {
    id: asset.id,
    ratio: asset.width && asset.height ? asset.width / asset.height : 1.333,
    thumbhash: asset.thumbhash,
    isFavorite: asset.isFavorite,
    isImage: asset.type === 'IMAGE',
    isLive: !!asset.livePhotoVideoId,
    duration: asset.duration ?? null,
    taken: new Date(asset.localDateTime),
  };
}

/** What a browser can play of a video. */
export const playback = (id: string) => `/api/assets/${id}/video/playback`;

export const thumbnail = (id: string, size: 'thumbnail' | 'preview', version = '') =>
  `/api/assets/${id}/thumbnail?size=${size}${version && `&c=${encodeURIComponent(version)}`}`;
