// Lists of photos: the timeline, which loads month by month, and plain lists of results.

import { get, item, type Asset, type Item } from './api';

/** What the viewer walks along. */
export interface Walk {
  step(id: string, by: 1 | -1): Promise<Item | null>;
}

export class Month {
  items = $state<Item[] | null>(null);
  loading = false;

  constructor(
    readonly bucket: string,
    public count: number,
  ) {}
}

interface Columns {
  id: string[];
  ratio: number[];
  thumbhash: (string | null)[];
  isFavorite: boolean[];
  isImage: boolean[];
  duration: (number | null)[];
  fileCreatedAt: string[];
  localOffsetHours: number[];
}

export class Timeline implements Walk {
  months = $state<Month[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state('');
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `filter`: what the API's timeline takes, such as `isTrashed=true`. */
  constructor(readonly filter: string) {}

  get total() {
    return this.months.reduce((sum, month) => sum + month.count, 0);
  }

  /** Reads the months; those whose photos are shown are read again. */
  async refresh() {
    try {
      const buckets = await get<{ timeBucket: string; count: number }[]>(`/timeline/buckets?${this.filter}`);
      const known = new Map(this.months.map((month) => [month.bucket, month]));
      const months = buckets.map(({ timeBucket, count }) => {
        const month = known.get(timeBucket) ?? new Month(timeBucket, count);
        month.count = count;
        return month;
      });
      await Promise.all(months.filter((month) => month.items).map((month) => this.fetch(month)));
      this.months = months;
      this.state = 'ready';
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
      if (this.months.length === 0) this.state = 'failed';
    }
  }

  /** Soon, once, however many things happen. */
  refreshSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.refresh();
    }, 400);
  }

  async load(month: Month) {
    if (month.items || month.loading) return;
    month.loading = true;
    try {
      await this.fetch(month);
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
    } finally {
      month.loading = false;
    }
  }

  private async fetch(month: Month) {
    const columns = await get<Columns>(`/timeline/bucket?timeBucket=${month.bucket}&${this.filter}`);
    month.items = columns.id.map((id, at) => ({
      id,
      ratio: columns.ratio[at] ?? 1,
      thumbhash: columns.thumbhash[at] ?? null,
      isFavorite: columns.isFavorite[at] ?? false,
      isImage: columns.isImage[at] ?? true,
      duration: columns.duration[at] ?? null,
      taken: new Date(Date.parse(columns.fileCreatedAt[at] ?? '') + (columns.localOffsetHours[at] ?? 0) * 3_600_000),
    }));
    month.count = month.items.length;
  }

  async step(id: string, by: 1 | -1): Promise<Item | null> {
    const at = this.months.findIndex((month) => month.items?.some((item) => item.id === id));
    const month = this.months[at];
    if (!month?.items) return null;
    const inside = month.items[month.items.findIndex((item) => item.id === id) + by];
    if (inside) return inside;
    const next = this.months[at + by];
    if (!next) return null;
    await this.load(next);
    return next.items?.at(by === 1 ? 0 : -1) ?? null;
  }

  /** Makes sure that the photo's month is there, for a viewer that was opened by its address. */
  async reach(asset: Asset) {
    if (this.months.length === 0) await this.refresh();
    const month = this.months.find((month) => month.bucket.slice(0, 7) === asset.localDateTime.slice(0, 7));
    if (month) await this.load(month);
  }

  remove(id: string) {
    for (const month of this.months) {
      if (month.items?.some((item) => item.id === id)) {
        month.items = month.items.filter((item) => item.id !== id);
        month.count = month.items.length;
      }
    }
    this.months = this.months.filter((month) => month.count > 0);
  }

  patch(id: string, change: Partial<Item>) {
    for (const month of this.months) {
      const found = month.items?.find((item) => item.id === id);
      if (found) Object.assign(found, change);
    }
  }
}

/** Photos that were found. */
export class Results implements Walk {
  items = $state<Item[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state('');
  private page: number | null = 1;
  private busy = false;

  constructor(private readonly fetchPage: (page: number) => Promise<{ items: Asset[]; nextPage: string | null }>) {}

  get hasMore() {
    return this.page !== null;
  }

  async more() {
    if (this.busy || this.page === null) return;
    this.busy = true;
    try {
      const found = await this.fetchPage(this.page);
      const known = new Set(this.items.map((item) => item.id));
      this.items.push(...found.items.filter((asset) => !known.has(asset.id)).map(item));
      this.page = found.nextPage ? Number(found.nextPage) : null;
      this.state = 'ready';
    } catch (error) {
      this.error = error instanceof Error ? error.message : String(error);
      this.state = 'failed';
    } finally {
      this.busy = false;
    }
  }

  async step(id: string, by: 1 | -1): Promise<Item | null> {
    const at = this.items.findIndex((item) => item.id === id);
    if (at < 0) return null;
    if (by === 1 && at === this.items.length - 1) await this.more();
    return this.items[at + by] ?? null;
  }

  remove(id: string) {
    this.items = this.items.filter((item) => item.id !== id);
  }

  patch(id: string, change: Partial<Item>) {
    const found = this.items.find((item) => item.id === id);
    if (found) Object.assign(found, change);
  }
}
