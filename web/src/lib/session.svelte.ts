// Who is here, what the server can do, and where on the page we are.

import { ApiError, get, post, type Features, type User } from './api';

class Session {
  /** `loading` until the first answers are there. */
  state = $state<'loading' | 'setup' | 'signin' | 'in' | 'offline'>('loading');
  user = $state<User | null>(null);
  features = $state<Features>({ smartSearch: false, facialRecognition: false });

  async start() {
    try {
      const config = await get<{ isInitialized: boolean }>('/server/config');
      if (!config.isInitialized) {
        this.state = 'setup';
        return;
      }
      await this.enter();
    } catch (error) {
      this.state = error instanceof ApiError && error.status === 401 ? 'signin' : 'offline';
    }
  }

  async enter() {
    this.user = await get<User>('/users/me');
    this.features = await get<Features>('/server/features');
    this.state = 'in';
  }

  async signUp(name: string, email: string, password: string) {
    await post('/auth/admin-sign-up', { name, email, password });
    await this.signIn(email, password);
  }

  async signIn(email: string, password: string) {
    await post('/auth/login', { email, password });
    await this.enter();
  }

  async signOut() {
    await post('/auth/logout');
    // Everything that was loaded belongs to somebody who is gone.
    location.assign('/');
  }
}

export const session = new Session();

class Place {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));

  constructor() {
    addEventListener('popstate', () => this.read());
  }

  private read() {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  go(to: string, replace = false) {
    if (replace) history.replaceState({ inside: true }, '', to);
    else history.pushState({ inside: true }, '', to);
    this.read();
  }

  /** Back if we came from inside, otherwise to `otherwise`. */
  back(otherwise: string) {
    if ((history.state as { inside?: boolean } | null)?.inside) history.back();
    else this.go(otherwise, true);
  }
}

export const place = new Place();

/** For links: an unmodified click stays within the page. */
export function follow(event: MouseEvent) {
  const link = (event.currentTarget as HTMLAnchorElement).getAttribute('href');
  if (link && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    place.go(link);
  }
}

class Toasts {
  list = $state<{ id: number; text: string; action?: { label: string; run: () => void } }[]>([]);
  private next = 0;

  say(text: string, action?: { label: string; run: () => void }) {
    const id = this.next++;
    this.list.push({ id, text, action });
    setTimeout(() => this.drop(id), action ? 8000 : 5000);
  }

  /** What failed, in the server's words. */
  failed(what: string, error: unknown) {
    this.say(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }

  drop(id: number) {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
