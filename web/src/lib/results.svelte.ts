// Photos that were found, page by page.

import { item, reason, type Asset, type Item } from './api';
import type { Walk } from './walk';

export interface Page {
  items: Asset[];
  nextPage: string | null;
}

const LISTS = 5;
const kept = new Map<string, Results>();

export class Results implements Walk {
  items = $state.raw<Item[]>([]);
  state = $state<'loading' | 'ready' | 'failed'>('loading');
  error = $state('');
  private page = $state<number | null>(1);
  private loading: Promise<void> | undefined;

  constructor(private readonly fetchPage: (page: number) => Promise<Page>) {}

  /** The list that was there, for who comes back to it; otherwise a new one. */
  static of(key: string, isBack: boolean, fetchPage: (page: number) => Promise<Page>): Results {
    const known = isBack ? kept.get(key) : undefined;
    const results = known ?? new Results(fetchPage);
    kept.delete(key);
    kept.set(key, results);
    for (const oldest of kept.keys()) if (kept.size > LISTS) kept.delete(oldest);
    return results;
  }

  get hasMore() {
    return this.page !== null;
  }

  more(): Promise<void> {
    if (this.page === null) return Promise.resolve();
    this.loading ??= this.load(this.page).finally(() => (this.loading = undefined));
    return this.loading;
  }

  private async load(page: number) {
    try {
      const found = await this.fetchPage(page);
      const known = new Set(this.items.map((item) => item.id));
      this.items = [...this.items, ...found.items.filter((asset) => !known.has(asset.id)).map(item)];
      this.page = found.nextPage ? Number(found.nextPage) : null;
      this.state = 'ready';
      this.error = '';
    } catch (error) {
      this.error = reason(error);
      this.state = 'failed';
    }
  }

  /** What failed, once more. */
  async again() {
    this.state = this.items.length > 0 ? 'ready' : 'loading';
    this.error = '';
    await this.more();
  }

  private index(id: string) {
    return this.items.findIndex((item) => item.id === id);
  }

  item(id: string): Item | null {
    return this.items[this.index(id)] ?? null;
  }

  peek(id: string, by: 1 | -1): Item | null {
    const at = this.index(id);
    return at < 0 ? null : (this.items[at + by] ?? null);
  }

  async around(id: string) {
    const at = this.index(id);
    if (at >= 0 && at === this.items.length - 1) await this.more();
  }

  async reach() {}

  remove(id: string) {
    const at = this.index(id);
    const gone = this.items[at];
    this.items = this.items.filter((item) => item.id !== id);
    return () => {
      if (gone && this.index(id) < 0) this.items = [...this.items.slice(0, at), gone, ...this.items.slice(at)];
    };
  }

  patch(id: string, change: Partial<Item>) {
    this.items = this.items.map((item) => (item.id === id ? { ...item, ...change } : item));
  }
}
