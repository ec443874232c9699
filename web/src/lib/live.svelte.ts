// What happens on the server while the page is open: by websocket, and by asking where that fails.

import { io, type Socket } from 'socket.io-client';
import { get } from './api';
import { session } from './session.svelte';

type Counts = { active: number; waiting: number; delayed: number; paused: number };

class Live {
  /** Photos that are being processed or wait for it. */
  developing = $state(0);
  connected = $state(false);
  private socket: Socket | null = null;
  private listeners: (() => void)[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Told when photos or people changed; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  start() {
    if (this.socket) return;
    this.socket = io({ path: '/api/socket.io', transports: ['websocket'] });
    this.socket.on('connect', () => (this.connected = true));
    this.socket.on('disconnect', () => (this.connected = false));
    this.socket.onAny((name: string) => {
      if (name.startsWith('on_') && name !== 'on_server_version') this.changed();
    });
    void this.ask();
  }

  /** Something was sent: there is work to watch. */
  nudge() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), 300);
  }

  private changed() {
    for (const listener of this.listeners) listener();
    if (this.developing > 0) this.nudge();
  }

  private async ask() {
    clearTimeout(this.timer);
    const before = this.developing;
    this.developing = await this.count();
    // A client without a websocket looks for itself, as long as there is something to see.
    if (before > 0 && (this.developing === 0 || !this.connected)) {
      for (const listener of this.listeners) listener();
    }
    this.timer = setTimeout(() => void this.ask(), this.developing > 0 ? 1000 : 15_000);
  }

  private async count(): Promise<number> {
    // Counts are for administrators.
    if (!session.user?.isAdmin || document.hidden) return 0;
    try {
      const jobs = await get<Record<string, { jobCounts: Counts }>>('/jobs');
      const busy = Object.values(jobs).map(({ jobCounts: counts }) => counts.active + counts.waiting + counts.delayed);
      return busy.reduce((sum, count) => sum + count, 0);
    } catch {
      return 0;
    }
  }
}

export const live = new Live();
