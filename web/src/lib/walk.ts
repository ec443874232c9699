import type { Asset, Item } from './api';

/** A list that the viewer walks along. */
export interface Walk {
  /** What is known of a photo on it. */
  item(id: string): Item | null;
  /** The neighbour, if it has been loaded. */
  peek(id: string, by: 1 | -1): Item | null;
  /** Loads the neighbours that are missing. */
  around(id: string): Promise<void>;
  /** Loads the part of the list where this photo is. */
  reach(asset: Asset): Promise<void>;
  /** Takes it off the list; returns how to put it back. */
  remove(id: string): () => unknown;
  patch(id: string, change: Partial<Item>): void;
}
