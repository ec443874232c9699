// Why photos have no picture. Only those that are seen are asked about, and only until there is an answer.

import { SvelteMap } from 'svelte/reactivity';
import { get } from './api';
import { reach } from './reach.svelte';

export interface Problem {
  step: string;
  message: string;
}

const EVERY = 3000;
const AT_ONCE = 12;

export const problemsOf = (id: string) => get<Problem[]>(`/latent/assets/${id}/errors`);

class Problems {
  private known = new SvelteMap<string, Problem[]>();
  /** Waiting for an answer, those that were asked about least lately first. */
  private watched = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  of(id: string): Problem[] {
    return this.known.get(id) ?? [];
  }

  /** As long as a tile shows nothing; returns how to stop. */
  watch(id: string): () => void {
    if (!this.known.has(id)) this.watched.add(id);
    this.timer ??= setTimeout(() => void this.look(), 1000);
    return () => this.watched.delete(id);
  }

  private async look() {
    const some = document.hidden || reach.gone ? [] : [...this.watched].slice(0, AT_ONCE);
    await Promise.all(some.map((id) => this.ask(id)));
    this.timer = this.watched.size > 0 ? setTimeout(() => void this.look(), EVERY) : undefined;
  }

  private async ask(id: string) {
    try {
      const problems = await problemsOf(id);
      if (problems.length > 0) this.known.set(id, problems);
      const isWatched = this.watched.delete(id);
      if (isWatched && problems.length === 0) this.watched.add(id);
    } catch {
      // It is asked again.
    }
  }
}

export const problems = new Problems();
