// Whether the server can be reached. Asked when something failed; while it is gone, asked again until it answers.

const EVERY = 1500;

class Reach {
  gone = $state(false);
  /** Counts up each time that the server may have become another one: what failed before may work now. */
  epoch = $state(0);
  private listeners: (() => void)[] = [];
  private asking: Promise<boolean> | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    addEventListener('offline', () => void this.doubt());
    addEventListener('online', () => this.gone && void this.doubt());
  }

  /** Told when the server answers again; returns how to stop. */
  onBack(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((other) => other !== listener);
    };
  }

  /** Something failed: is the server there? */
  doubt(): Promise<boolean> {
    this.asking ??= this.ask().finally(() => (this.asking = undefined));
    return this.asking;
  }

  /** A connection was made again. */
  renewed() {
    this.epoch += 1;
    for (const listener of this.listeners) listener();
  }

  private async ask(): Promise<boolean> {
    const there = await answers();
    if (there && this.gone) {
      this.gone = false;
      this.renewed();
    } else if (!there) {
      this.gone = true;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.doubt(), EVERY);
    }
    return there;
  }
}

/** What a proxy says for a server that is not there. */
export const isGone = (status: number) => status === 0 || (status >= 502 && status <= 504);

async function answers(): Promise<boolean> {
  try {
    const response = await fetch('/api/server/ping', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    return !isGone(response.status);
  } catch {
    return false;
  }
}

export const reach = new Reach();
