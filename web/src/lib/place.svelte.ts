// Where on the page we are: addresses, history, and how far down each entry of it was scrolled.

interface Mark {
  /** Of this entry. */
  key: string;
  /** How many entries of ours lie before it. */
  depth: number;
}

const newKey = () => `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}`;

/** `/people/7/photos/9` is photo 9 over the page of person 7. */
function parse(path: string): { base: string; photo: string | null } {
  const parts = path.split('/').filter((part) => part !== '');
  const at = parts.lastIndexOf('photos');
  return {
    base: `/${(at >= 0 ? parts.slice(0, at) : parts).join('/')}`,
    photo: at >= 0 ? (parts[at + 1] ?? null) : null,
  };
}

class Place {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));
  /** Without the photo, if one is open. */
  base = $derived(parse(this.path).base);
  photo = $derived(parse(this.path).photo);
  /** By Back or Forward, where one expects what was there before. */
  isBack = $state(false);
  private mark: Mark;
  private scrolled = new Map<string, number>();
  private restoring = 0;

  constructor() {
    history.scrollRestoration = 'manual';
    this.mark = (history.state as Mark | null)?.key ? (history.state as Mark) : { key: newKey(), depth: 0 };
    history.replaceState(this.mark, '');
    addEventListener('popstate', (event) => this.popped(event.state as Mark | null));
    for (const name of ['wheel', 'touchstart', 'keydown']) addEventListener(name, () => (this.restoring += 1), { passive: true });
  }

  go(to: string, replace = false) {
    const from = this.page;
    this.scrolled.set(this.mark.key, scrollY);
    this.mark = replace ? this.mark : { key: newKey(), depth: this.mark.depth + 1 };
    if (replace) history.replaceState(this.mark, '', to);
    else history.pushState(this.mark, '', to);
    this.isBack = false;
    this.read();
    if (this.page !== from) scrollTo(0, 0);
  }

  /** Back if we came from inside, otherwise to `otherwise`. */
  back(otherwise: string) {
    if (this.mark.depth > 0) history.back();
    else this.go(otherwise, true);
  }

  /** What is under the photo: a photo that opens or closes leaves it where it is. */
  private get page() {
    return `${parse(this.path).base}?${this.query}`;
  }

  private popped(state: Mark | null) {
    const from = this.page;
    this.scrolled.set(this.mark.key, scrollY);
    this.mark = state?.key ? state : { key: newKey(), depth: 0 };
    this.isBack = true;
    this.read();
    if (this.page !== from) this.restore(this.scrolled.get(this.mark.key) ?? 0);
  }

  private read() {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  /** As soon as the page is high enough again, unless somebody scrolls. */
  private restore(to: number) {
    const turn = ++this.restoring;
    const until = performance.now() + 4000;
    const attempt = () => {
      if (turn !== this.restoring) return;
      scrollTo(0, to);
      if (Math.abs(scrollY - to) > 1 && performance.now() < until) requestAnimationFrame(attempt);
    };
    requestAnimationFrame(attempt);
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
