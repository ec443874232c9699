// Uploads: four at once, with progress for each and in all. A failure is told for its file and can be tried again; while the
// server is gone or nobody is signed in, what is left waits.

import { reason, signedOut } from './api';
import { isGone, reach } from './reach.svelte';
import { session } from './session.svelte';

const AT_ONCE = 4;
/** A request that breaks off although the server is there is made again so often. */
const BREAKS = 3;
/** Thousands of rows help nobody. */
const SHOWN = 40;

export class Upload {
  state = $state<'waiting' | 'sending' | 'storing' | 'done' | 'duplicate' | 'failed'>('waiting');
  /** Bytes sent. */
  sent = $state(0);
  error = $state('');
  breaks = 0;
  request: XMLHttpRequest | null = null;

  constructor(readonly file: File) {}
}

/** What a request says that no answer of the server is. */
class Broken extends Error {}
class SignedOut extends Error {}

class Uploads {
  open = $state(true);
  count = $state(0);
  /** Bytes. */
  total = $state(0);
  sent = $state(0);
  done = $state(0);
  duplicates = $state(0);
  failures = $state.raw<Upload[]>([]);
  private active = $state.raw<Upload[]>([]);
  private recent = $state.raw<Upload[]>([]);
  /** Those before `head` have had their turn; so no file costs more for the number of others. */
  private queue: Upload[] = [];
  private head = $state(0);
  private listeners: (() => void)[] = [];

  failed = $derived(this.failures.length);
  busy = $derived(this.count > this.done + this.failed);
  /** What failed and what is on its way comes first. */
  shown = $derived.by(() => {
    const waiting = this.count > 0 ? this.queue.slice(this.head, this.head + SHOWN) : [];
    return [...this.failures.slice(0, SHOWN), ...this.active, ...waiting, ...this.recent];
  });

  constructor() {
    reach.onBack(() => this.goOn());
  }

  /** Told when a file has arrived; returns how to stop. */
  onArrived(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  /** `isMore`: of a folder whose first files are on the list, perhaps all done by now. */
  add(files: Iterable<File>, isMore = false) {
    if (!this.busy && !isMore) this.reset(this.failures);
    for (const file of files) {
      this.queue.push(new Upload(file));
      this.count += 1;
      this.total += file.size;
    }
    this.open = true;
    this.goOn();
  }

  /** What failed is tried once more. */
  again() {
    for (const upload of this.failures) {
      Object.assign(upload, { state: 'waiting', error: '', breaks: 0 });
      this.progress(upload, 0);
      this.queue.push(upload);
    }
    this.failures = [];
    this.goOn();
  }

  /** What has not arrived does not. */
  cancel() {
    const { active } = this;
    this.reset([]);
    for (const upload of active) upload.request?.abort();
  }

  clear() {
    this.reset([]);
  }

  goOn() {
    while (this.active.length < AT_ONCE && this.head < this.queue.length && !reach.gone && session.state === 'in') {
      const upload = this.queue[this.head]!;
      this.head += 1;
      if (this.head > 1000 && this.head * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.head);
        this.head = 0;
      }
      void this.send(upload);
    }
  }

  private reset(failures: Upload[]) {
    this.queue = [];
    [this.head, this.active, this.recent, this.failures] = [0, [], [], failures];
    [this.done, this.duplicates, this.count] = [0, 0, failures.length];
    this.total = failures.reduce((sum, upload) => sum + upload.file.size, 0);
    this.sent = this.total;
  }

  private async send(upload: Upload) {
    this.active = [...this.active, upload];
    upload.state = 'sending';
    let error: unknown = null;
    let status = '';
    try {
      status = await transfer(upload, (sent) => this.progress(upload, sent));
    } catch (failure) {
      error = failure;
    }
    // A cancelled one is on no list any more.
    if (!this.active.includes(upload)) return;
    if (error === null) this.arrived(upload, status);
    else await this.missed(upload, error);
    this.goOn();
  }

  private arrived(upload: Upload, status: string) {
    this.leave(upload);
    this.progress(upload, upload.file.size);
    upload.state = status === 'duplicate' ? 'duplicate' : 'done';
    this.done += 1;
    if (status === 'duplicate') this.duplicates += 1;
    this.recent = [upload, ...this.recent].slice(0, SHOWN);
    for (const listener of this.listeners) listener();
  }

  private async missed(upload: Upload, error: unknown) {
    if (error instanceof Broken && (await reach.doubt())) upload.breaks += 1;
    if (!this.active.includes(upload)) return;
    this.leave(upload);
    if (error instanceof SignedOut || (error instanceof Broken && upload.breaks < BREAKS)) {
      upload.state = 'waiting';
      this.progress(upload, 0);
      this.first(upload);
      return;
    }
    this.progress(upload, upload.file.size);
    upload.state = 'failed';
    upload.error = reason(error);
    this.failures = [...this.failures, upload];
  }

  /** It was begun, so it is the next. */
  private first(upload: Upload) {
    if (this.head === 0) this.queue.unshift(upload);
    else this.queue[--this.head] = upload;
  }

  private leave(upload: Upload) {
    this.active = this.active.filter((other) => other !== upload);
  }

  private progress(upload: Upload, sent: number) {
    if (this.count === 0) return;
    this.sent += sent - upload.sent;
    upload.sent = sent;
  }
}

/** XMLHttpRequest, because fetch tells nothing about what has been sent. */
function transfer(upload: Upload, progress: (sent: number) => void): Promise<string> {
  const { file } = upload;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    upload.request = request;
    request.open('POST', '/api/assets');
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      if (request.readyState === XMLHttpRequest.DONE) return;
      progress(Math.min(event.loaded, file.size));
      if (event.loaded >= event.total) upload.state = 'storing';
    };
    request.onload = () => {
      const body = request.response as { status?: string; message?: string } | null;
      if (request.status < 300) return resolve(body?.status ?? 'created');
      if (isGone(request.status)) return reject(new Broken('the server cannot be reached'));
      if (request.status !== 401) return reject(new Error(body?.message ?? `the server answered ${request.status}`));
      signedOut();
      reject(new SignedOut());
    };
    request.onerror = () => reject(new Broken('the connection broke off'));
    request.onabort = () => reject(new Error('cancelled'));
    request.send(form(file));
  });
}

function form(file: File): FormData {
  const form = new FormData();
  const modified = new Date(file.lastModified || Date.now()).toISOString();
  // Before the file, so that a refusal need not wait for it.
  form.append('deviceAssetId', `${file.name}-${file.lastModified}`);
  form.append('deviceId', 'web');
  form.append('fileCreatedAt', modified);
  form.append('fileModifiedAt', modified);
  form.append('assetData', file, file.name);
  return form;
}

export const uploads = new Uploads();
