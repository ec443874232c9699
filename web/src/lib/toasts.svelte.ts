// Short sentences about what happened.

import { ApiError, reason } from './api';

export interface Toast {
  id: number;
  text: string;
  action?: { label: string; run: () => unknown };
}

class Toasts {
  list = $state<Toast[]>([]);
  private next = 0;

  say(text: string, action?: Toast['action']) {
    const id = this.next++;
    this.list.push({ id, text, action });
    setTimeout(() => this.drop(id), action ? 8000 : 5000);
  }

  /** What failed, in the server's words. That one is signed out is seen already. */
  failed(what: string, error: unknown) {
    if (error instanceof ApiError && error.status === 401) return;
    this.say(`${what}: ${reason(error)}`);
  }

  drop(id: number) {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
