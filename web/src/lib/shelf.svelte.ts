// Where the months of a timeline stand, and which of them are near the window.

import { untrack } from 'svelte';
import { Ruler, estimate, justify, type Layout } from './layout.js';
import type { Month, Timeline } from './timeline.svelte';

export const HEAD = 62;
export const GAP = 4;
export const FOOT = 18;
const AHEAD = 900;
const IDLE = 150;

export interface Spot {
  month: Month;
  top: number;
  height: number;
  layout: Layout | null;
}

interface Known {
  items: Month['items'];
  count: number;
  width: number;
  layout: Layout;
}

export const rowHeight = (width: number) => (width < 600 ? 128 : 220);

/** Made while a component is. */
export class Shelf {
  width = $state(0);
  list = $state<HTMLElement>();
  /** How far into the list the window's upper edge is. */
  scroll = $state(0);
  view = $state(innerHeight);
  /** Between places in the list and on the page: see `Ruler`. */
  shift = $state(0);
  spots: Spot[];
  height: number;
  near: Spot[];
  private timeline: Timeline;
  private ruler = new Ruler();
  private known = new WeakMap<Month, Known>();
  private anchor: { month: Month; top: number } | null = null;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(timeline: () => Timeline) {
    this.timeline = $derived(timeline());
    this.spots = $derived(this.place(this.timeline.months, this.width));
    this.height = $derived((this.spots.at(-1)?.top ?? 0) + (this.spots.at(-1)?.height ?? 0));
    this.near = $derived(
      this.spots.filter(
        (spot) => spot.top < this.scroll + this.view + AHEAD && spot.top + spot.height > this.scroll - AHEAD,
      ),
    );
    $effect(() => {
      const months = this.near.map((spot) => spot.month);
      untrack(() => this.timeline.see(months));
    });
    $effect(() => {
      const spots = this.spots;
      if (this.list) untrack(() => this.hold(spots));
    });
    $effect(() => () => clearTimeout(this.idle));
  }

  get physical() {
    return Math.min(this.height, this.measured().physical);
  }

  /** The strip of a month that is near the window, for its grid. */
  strip(spot: Spot): [number, number] {
    const top = this.scroll - spot.top - HEAD;
    return [top - AHEAD, top + this.view + AHEAD];
  }

  /** The window was scrolled, or is of another size. */
  look = () => {
    if (!this.list) return;
    this.view = innerHeight;
    this.scroll = this.measured().scrolled(-this.list.getBoundingClientRect().top);
    this.shift = this.ruler.shift;
    const month = this.spots.find((spot) => spot.top + spot.height > this.scroll);
    this.anchor = month ? { month: month.month, top: month.top } : null;
    this.settle(false);
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.settle(true), IDLE);
  };

  private measured() {
    this.ruler.measure(this.height, this.view);
    return this.ruler;
  }

  private settle(isIdle: boolean) {
    if (!this.list) return;
    const { top } = this.list.getBoundingClientRect();
    const to = this.ruler.settle(-top, isIdle);
    if (to === null) return;
    this.shift = this.ruler.shift;
    scrollBy(0, to + top);
  }

  /** Months above the window that turn out higher than they were estimated do not push what is being looked at. */
  private hold(spots: Spot[]) {
    const anchor = this.anchor;
    const now = anchor && spots.find((spot) => spot.month === anchor.month);
    const by = now ? now.top - anchor.top : 0;
    if (by !== 0 && this.scroll > 0) {
      if (this.height > this.physical) this.ruler.shift += by;
      else scrollBy(0, by);
    }
    this.look();
  }

  private place(months: Month[], width: number): Spot[] {
    let top = 0;
    // Before the page is measured nothing has a place.
    if (width === 0) return [];
    return months.map((month) => {
      const known = this.layout(month, width);
      const height = (known?.height ?? estimate(month.count, width, rowHeight(width), GAP)) + HEAD + FOOT;
      const spot = { month, top, height, layout: month.items ? known : null };
      top += height;
      return spot;
    });
  }

  /** Of the photos, or of those that were there before the month was put aside. */
  private layout(month: Month, width: number): Layout | null {
    const { items, count } = month;
    const known = this.known.get(month);
    if (known && known.width === width && (items ? known.items === items : known.count === count)) return known.layout;
    if (!items) return null;
    const layout = justify(items.map((item) => item.ratio), width, rowHeight(width), GAP);
    this.known.set(month, { items, count, width, layout });
    return layout;
  }
}
