// Uploads: four at once, with progress for each and in all. A failure is told for its file and can be tried again.

const AT_ONCE = 4;

export class Upload {
  state = $state<'waiting' | 'sending' | 'storing' | 'done' | 'duplicate' | 'failed'>('waiting');
  /** Bytes sent. */
  sent = $state(0);
  error = $state('');

  constructor(readonly file: File) {}
}

class Uploads {
  list = $state<Upload[]>([]);
  open = $state(true);
  private running = 0;
  private listeners: (() => void)[] = [];

  total = $derived(this.list.reduce((sum, upload) => sum + upload.file.size, 0));
  sent = $derived(this.list.reduce((sum, upload) => sum + (ended(upload) ? upload.file.size : upload.sent), 0));
  done = $derived(this.list.filter(ended).length);
  failed = $derived(this.list.filter((upload) => upload.state === 'failed').length);
  busy = $derived(this.list.length > this.done);

  /** Told when a file has arrived; returns how to stop. */
  onArrived(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  add(files: File[]) {
    if (!this.busy) this.list = [];
    this.list.push(...files.map((file) => new Upload(file)));
    this.open = true;
    this.fill();
  }

  again() {
    for (const upload of this.list) {
      if (upload.state === 'failed') Object.assign(upload, { state: 'waiting', sent: 0, error: '' });
    }
    this.fill();
  }

  clear() {
    this.list = [];
  }

  private fill() {
    for (const upload of this.list) {
      if (this.running >= AT_ONCE) return;
      if (upload.state === 'waiting') void this.send(upload);
    }
  }

  private async send(upload: Upload) {
    this.running += 1;
    upload.state = 'sending';
    try {
      const status = await transfer(upload);
      upload.state = status === 'duplicate' ? 'duplicate' : 'done';
      for (const listener of this.listeners) listener();
    } catch (error) {
      upload.state = 'failed';
      upload.error = error instanceof Error ? error.message : String(error);
    } finally {
      this.running -= 1;
      this.fill();
    }
  }
}

function ended(upload: Upload) {
  return upload.state === 'done' || upload.state === 'duplicate' || upload.state === 'failed';
}

/** XMLHttpRequest, because fetch tells nothing about what has been sent. */
function transfer(upload: Upload): Promise<string> {
  const { file } = upload;
  const form = new FormData();
  const modified = new Date(file.lastModified || Date.now()).toISOString();
  // Before the file, so that a refusal need not wait for it.
  form.append('deviceAssetId', `${file.name}-${file.lastModified}`);
  form.append('deviceId', 'web');
  form.append('fileCreatedAt', modified);
  form.append('fileModifiedAt', modified);
  form.append('assetData', file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/api/assets');
    request.responseType = 'json';
    request.upload.onprogress = (event) => {
      upload.sent = Math.min(event.loaded, file.size);
      if (event.loaded >= event.total) upload.state = 'storing';
    };
    request.onload = () => {
      const body = request.response as { status?: string; message?: string } | null;
      if (request.status < 300) resolve(body?.status ?? 'created');
      else reject(new Error(body?.message ?? `the server answered ${request.status}`));
    };
    request.onerror = () => reject(new Error('the server cannot be reached'));
    request.send(form);
  });
}

export const uploads = new Uploads();

/** All files of what was dropped; folders are walked. */
export async function dropped(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...data.files];
  const files: File[] = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

async function walk(entry: FileSystemEntry, files: File[]): Promise<void> {
  if (entry.name.startsWith('.')) return;
  if (entry.isFile) {
    files.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A reader gives at most a hundred at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const inner of some) await walk(inner, files);
  }
}
