// What happens on the server while the page is open: by websocket, and by asking where that fails.

import { io, type Socket } from 'socket.io-client';
import { get } from './api';
import { reach } from './reach.svelte';
import { session } from './session.svelte';

type Counts = { active: number; waiting: number; delayed: number; paused: number };

class Live {
  /** Steps of work on photos that run or wait; a photo takes several. Only administrators are told. */
  steps = $state(0);
  private connected = false;
  private socket: Socket | null = null;
  private listeners: (() => void)[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    reach.onBack(() => {
      if (!this.socket) return;
      if (!this.socket.connected) this.socket.connect();
      this.changed();
    });
  }

  /** Told when photos or people changed; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  start() {
    if (this.socket) return;
    let isFirst = true;
    this.socket = io({ path: '/api/socket.io', transports: ['websocket'] });
    this.socket.on('connect', () => {
      this.connected = true;
      // What happened in between was told to nobody.
      if (!isFirst) reach.renewed();
      isFirst = false;
    });
    this.socket.on('disconnect', (cause) => {
      this.connected = false;
      void reach.doubt();
      // The server has sent us away: it says by itself whether we are signed out.
      if (cause === 'io server disconnect') void get('/users/me').then(() => this.socket?.connect(), () => {});
    });
    this.socket.onAny((name: string) => {
      if (name.startsWith('on_') && name !== 'on_server_version') this.changed();
    });
    void this.ask();
  }

  stop() {
    clearTimeout(this.timer);
    this.socket?.removeAllListeners();
    this.socket?.disconnect();
    this.socket = null;
    this.connected = false;
    this.steps = 0;
  }

  /** Something was sent: there is work to watch. */
  nudge() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), 300);
  }

  private changed() {
    for (const listener of this.listeners) listener();
    // Not put off further by each event: a busy server would be asked only at the end.
    if (this.steps === 0) this.nudge();
  }

  private async ask() {
    clearTimeout(this.timer);
    const before = this.steps;
    const steps = await this.count();
    if (!this.socket) return;
    this.steps = steps;
    // A client without a websocket looks for itself, as long as there is something to see.
    if (before > 0 && (steps === 0 || !this.connected)) {
      for (const listener of this.listeners) listener();
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), steps > 0 ? 1000 : 15_000);
  }

  private async count(): Promise<number> {
    if (!session.user?.isAdmin || document.hidden || reach.gone) return 0;
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
