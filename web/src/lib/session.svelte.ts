// Who is here, and what the server can do.

import { ApiError, get, post, whenSignedOut, type Features, type User } from './api';
import { reach } from './reach.svelte';

class Session {
  /** `loading` until the first answers are there. */
  state = $state<'loading' | 'setup' | 'signin' | 'in' | 'offline'>('loading');
  /** The session ended while somebody was here. */
  expired = $state(false);
  user = $state<User | null>(null);
  features = $state<Features>({ smartSearch: false, facialRecognition: false });

  constructor() {
    whenSignedOut(() => {
      if (this.state !== 'in') return;
      this.expired = true;
      this.state = 'signin';
    });
    reach.onBack(() => {
      if (this.state === 'offline') void this.start();
    });
  }

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
    const user = await get<User>('/users/me');
    if (this.user && this.user.id !== user.id) {
      // What is loaded, and the uploads that wait, belong to somebody else.
      location.assign('/');
      return;
    }
    this.user = user;
    this.features = await get<Features>('/server/features');
    this.expired = false;
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
