// The timeline, which loads month by month and holds what is near.

import { get, reason, type Asset, type Item } from './api';
import type { Walk } from './walk';

/** Months whose photos are held although they are far from the window. */
const FAR = 8;

export class Month {
  items = $state.raw<Item[] | null>(null);
  error = $state('');
  /** The photos may have changed since they were read. */
  isStale = false;
  /** The server has another number of photos than is held. */
  hasChanged = false;
  /** When it was needed last, as a count. */
  used = 0;
  private asked = 0;
  private shown = 0;

  constructor(
    readonly bucket: string,
    public count: number,
  ) {}

  /** Reads the photos. An answer that was overtaken by a later one is dropped. */
  async fetch(filter: string) {
    const turn = ++this.asked;
    this.isStale = false;
    try {
      const columns = await get<Columns>(`/timeline/bucket?timeBucket=${this.bucket}&${filter}`);
      if (turn < this.shown) return;
      this.shown = turn;
      this.items = rows(columns);
      this.count = this.items.length;
      this.error = '';
    } catch (error) {
      this.isStale = true;
      if (turn === this.asked) this.error = reason(error);
    }
  }

  /** Forgets the photos, and answers that are still on their way. */
  drop() {
    this.shown = this.asked + 1;
    this.asked += 1;
    this.items = null;
  }

  change(items: Item[]) {
    this.items = items;
    this.count = items.length;
  }
}

interface Columns {
  id: string[];
  ratio: number[];
  thumbhash: (string | null)[];
  isFavorite: boolean[];
  isImage: boolean[];
  duration: (number | null)[];
  livePhotoVideoId: (string | null)[];
  fileCreatedAt: string[];
  localOffsetHours: number[];
}

function rows(columns: Columns): Item[] {
  return columns.id.map((id, at) => ({
    id,
    ratio: columns.ratio[at] ?? 1,
    thumbhash: columns.thumbhash[at] ?? null,
    isFavorite: columns.isFavorite[at] ?? false,
    isImage: columns.isImage[at] ?? true,
    isLive: !!columns.livePhotoVideoId[at],
    duration: columns.duration[at] ?? null,
    taken: new Date(Date.parse(columns.fileCreatedAt[at] ?? '') + (columns.localOffsetHours[at] ?? 0) * 3_600_000),
  }));
}

const kept = new Map<string, Timeline>();

export class Timeline implements Walk {
  months = $state.raw<Month[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state('');
  private near = new Set<Month>();
  private clock = 0;
  private loading = new Map<Month, Promise<void>>();
  private refreshing: Promise<void> | undefined;
  private again = false;
  private isDirty = false;
  private seeing: ReturnType<typeof setTimeout> | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `filter`: what the API's timeline takes, such as `isTrashed=true`. */
  constructor(readonly filter: string) {}

  /** One for each filter, so that who comes back finds what was there. */
  static of(filter: string): Timeline {
    let timeline = kept.get(filter);
    if (!timeline) kept.set(filter, (timeline = new Timeline(filter)));
    return timeline;
  }

  get total() {
    return this.months.reduce((sum, month) => sum + month.count, 0);
  }

  /** Reads the months, and the photos of those that are seen or have changed. Asked meanwhile, it does so once more. */
  refresh(): Promise<void> {
    if (this.refreshing) {
      this.again = true;
      return this.refreshing;
    }
    this.refreshing = this.rounds().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  private async rounds() {
    do {
      this.again = false;
      await this.round();
    } while (this.again);
  }

  private async round() {
    try {
      const buckets = await get<{ timeBucket: string; count: number }[]>(`/timeline/buckets?${this.filter}`);
      const known = new Map(this.months.map((month) => [month.bucket, month]));
      const months = buckets.map(({ timeBucket, count }) => {
        const month = known.get(timeBucket) ?? new Month(timeBucket, count);
        month.hasChanged = month.count !== count;
        if (!month.items) month.count = count;
        return month;
      });
      const held = months.filter((month) => month.items);
      for (const month of held) month.isStale = true;
      const wanted = held.filter((month) => month.hasChanged || this.near.has(month));
      await Promise.all(wanted.map((month) => month.fetch(this.filter)));
      this.months = months;
      this.state = 'ready';
      this.error = '';
      this.forget();
    } catch (error) {
      this.error = reason(error);
      if (this.months.length === 0) this.state = 'failed';
    }
  }

  /** Soon, once, however many things happen; rarer where the answers take long. */
  refreshSoon() {
    this.isDirty = true;
    this.schedule(400);
  }

  private schedule(after: number) {
    this.timer ??= setTimeout(async () => {
      const began = performance.now();
      this.isDirty = false;
      await this.refresh();
      this.timer = undefined;
      if (this.isDirty) this.schedule(Math.max(400, 2 * (performance.now() - began)));
    }, after);
  }

  /** These are in or near the window. */
  see(months: Month[]) {
    this.near = new Set(months);
    // Who drags the scroll bar passes by months that nobody looks at.
    this.seeing ??= setTimeout(() => {
      this.seeing = undefined;
      for (const month of this.near) void this.load(month);
      this.forget();
    }, 40);
  }

  async load(month: Month) {
    month.used = ++this.clock;
    if (month.items && !month.isStale) return;
    // What failed is asked for again by hand, or when the server is back.
    if (!month.items && month.error) return;
    await this.loadAgain(month);
  }

  async loadAgain(month: Month) {
    let loading = this.loading.get(month);
    if (!loading) {
      loading = month.fetch(this.filter).finally(() => this.loading.delete(month));
      this.loading.set(month, loading);
    }
    await loading;
  }

  /** The server is back: what failed may work. */
  async mend() {
    await this.refresh();
    for (const month of this.months) if (month.error) month.error = '';
    await Promise.all([...this.near].map((month) => this.load(month)));
  }

  private forget() {
    const far = this.months.filter((month) => month.items && !this.near.has(month));
    far.sort((a, b) => b.used - a.used);
    for (const month of far.slice(FAR)) month.drop();
  }

  private find(id: string): { at: number; inside: number; item: Item } | null {
    for (const [at, month] of this.months.entries()) {
      const inside = month.items?.findIndex((item) => item.id === id) ?? -1;
      if (inside >= 0) return { at, inside, item: month.items![inside]! };
    }
    return null;
  }

  item(id: string): Item | null {
    return this.find(id)?.item ?? null;
  }

  peek(id: string, by: 1 | -1): Item | null {
    const found = this.find(id);
    if (!found) return null;
    const inside = this.months[found.at]?.items?.[found.inside + by];
    return inside ?? this.months[found.at + by]?.items?.at(by === 1 ? 0 : -1) ?? null;
  }

  async around(id: string) {
    const found = this.find(id);
    if (!found) return;
    const month = this.months[found.at]!;
    const wanted: (Month | undefined)[] = [month];
    if (found.inside === 0) wanted.push(this.months[found.at - 1]);
    if (found.inside === (month.items?.length ?? 0) - 1) wanted.push(this.months[found.at + 1]);
    await Promise.all(wanted.filter((month) => month !== undefined).map((month) => this.load(month)));
  }

  /** Makes sure that the photo's month is there, for a viewer that was opened by its address. */
  async reach(asset: Asset) {
    if (this.find(asset.id)) return;
    if (this.months.length === 0) await this.refresh();
    const month = this.months.find((month) => month.bucket.slice(0, 7) === asset.localDateTime.slice(0, 7));
    if (month) await this.load(month);
  }

  remove(id: string) {
    const found = this.find(id);
    const month = found && this.months[found.at];
    if (month?.items) {
      month.change(month.items.filter((item) => item.id !== id));
      this.months = this.months.filter((month) => month.count > 0);
    }
    return () => this.refresh();
  }

  patch(id: string, change: Partial<Item>) {
    const found = this.find(id);
    const month = found && this.months[found.at];
    if (month?.items) month.change(month.items.map((item) => (item.id === id ? { ...item, ...change } : item)));
  }
}
