// What may be uploaded of what was dropped or chosen. Folders are walked, and what is found is sent while others are looked for.

import { get } from './api';
import { toasts } from './toasts.svelte';
import { uploads } from './uploads.svelte';
import { count } from './words';

let kinds: Promise<Set<string>> | undefined;

/** Endings such as `.jpg` that the server takes; none if it cannot be asked. */
function known(): Promise<Set<string>> {
  kinds ??= get<{ image: string[]; video: string[] }>('/server/media-types').then(
    ({ image, video }) => new Set([...image, ...video].map((ending) => ending.toLowerCase())),
    () => {
      kinds = undefined;
      return new Set<string>();
    },
  );
  return kinds;
}

const ending = (name: string) => name.slice(name.lastIndexOf('.')).toLowerCase();

class Choice {
  private strangers = 0;
  private unreadable = 0;
  private hasTaken = false;

  constructor(private readonly endings: Set<string>) {}

  take(files: File[]) {
    const fit = files.filter((file) => this.endings.size === 0 || this.endings.has(ending(file.name)));
    this.strangers += files.length - fit.length;
    if (fit.length === 0) return;
    uploads.add(fit, this.hasTaken);
    this.hasTaken = true;
  }

  /** What cannot be read is counted, and the others go on. */
  async walk(entries: FileSystemEntry[]): Promise<void> {
    const seen = entries.filter((entry) => !entry.name.startsWith('.'));
    const files = await Promise.all(
      seen.filter((entry) => entry.isFile).map((entry) => file(entry as FileSystemFileEntry).catch(() => null)),
    );
    this.unreadable += files.filter((file) => file === null).length;
    this.take(files.filter((file) => file !== null));
    for (const folder of seen.filter((entry) => !entry.isFile)) await this.walkFolder(folder as FileSystemDirectoryEntry);
  }

  private async walkFolder(folder: FileSystemDirectoryEntry) {
    const reader = folder.createReader();
    // A reader gives at most a hundred at a time.
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)).catch(() => null);
      if (some === null) this.unreadable += 1;
      if (!some?.length) return;
      await this.walk(some);
    }
  }

  tell() {
    if (this.strangers > 0) toasts.say(`${count(this.strangers, 'file was', 'files were')} left out: not a photo or video.`);
    if (this.unreadable > 0) toasts.say(`${count(this.unreadable, 'file')} could not be read.`);
  }
}

const file = (entry: FileSystemFileEntry) => new Promise<File>((resolve, reject) => entry.file(resolve, reject));

/** Files of an input. */
export async function choose(files: File[]) {
  const choice = new Choice(await known());
  choice.take(files.filter((file) => !file.name.startsWith('.')));
  choice.tell();
}

export async function drop(data: DataTransfer) {
  // All at once, because afterwards the browser has taken them back.
  const entries: FileSystemEntry[] = [];
  const files: File[] = [];
  for (const item of [...data.items].filter((item) => item.kind === 'file')) {
    const entry = item.webkitGetAsEntry();
    const file = entry ? null : item.getAsFile();
    if (entry) entries.push(entry);
    else if (file) files.push(file);
  }
  const choice = new Choice(await known());
  if (files.length > 0) choice.take(files);
  await choice.walk(entries);
  choice.tell();
}
