// Looking closer: by wheel, double click or double tap; moved by dragging. A swipe turns the page when nothing is enlarged.

const MOST = 8;
const CLOSER = 2.5;
const SWIPE = 60;

export class Zoom {
  scale = $state(1);
  x = $state(0);
  y = $state(0);
  /** Fingers and mouse buttons that are down. */
  private down = new Map<number, { x: number; y: number }>();
  private start: { x: number; y: number } | null = null;

  constructor(private readonly turn: (by: 1 | -1) => void) {}

  get transform() {
    return this.scale === 1 ? 'none' : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }

  reset = () => {
    [this.scale, this.x, this.y] = [1, 0, 0];
  };

  wheel = (event: WheelEvent) => {
    event.preventDefault();
    this.to(this.scale * Math.exp(-event.deltaY / 300), event);
  };

  double = (event: MouseEvent) => {
    if (this.scale > 1) this.reset();
    else this.to(CLOSER, event);
  };

  pressed = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    // A second finger makes it no swipe, even after it was lifted.
    this.start = this.down.size === 1 && event.pointerType === 'touch' ? { x: event.clientX, y: event.clientY } : null;
  };

  moved = (event: PointerEvent) => {
    const before = this.down.get(event.pointerId);
    if (!before) return;
    const others = [...this.down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const now = { x: event.clientX, y: event.clientY };
    this.down.set(event.pointerId, now);
    const other = others[0];
    if (other) {
      const grown = distance(now, other) / Math.max(1, distance(before, other));
      this.to(this.scale * grown, { ...middle(now, other), currentTarget: event.currentTarget });
    } else if (this.scale > 1) {
      this.put(this.x + now.x - before.x, this.y + now.y - before.y, event.currentTarget as HTMLElement);
    }
  };

  released = (event: PointerEvent) => {
    const { start } = this;
    this.down.delete(event.pointerId);
    this.start = null;
    if (!start || event.type !== 'pointerup' || this.scale > 1) return;
    const [across, along] = [event.clientX - start.x, event.clientY - start.y];
    if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(along)) this.turn(across > 0 ? -1 : 1);
  };

  /** The point under the mouse or between the fingers stays where it is. */
  private to(scale: number, at: { clientX: number; clientY: number; currentTarget: EventTarget | null }) {
    const element = at.currentTarget as HTMLElement;
    const next = Math.min(MOST, Math.max(1, scale));
    if (next === 1) return this.reset();
    const box = element.getBoundingClientRect();
    const [x, y] = [at.clientX - box.left - box.width / 2, at.clientY - box.top - box.height / 2];
    const by = next / this.scale;
    this.scale = next;
    this.put(x - (x - this.x) * by, y - (y - this.y) * by, element);
  }

  /** No further than that the picture's edge meets the window's. */
  private put(x: number, y: number, { clientWidth, clientHeight }: HTMLElement) {
    const [right, bottom] = [(clientWidth * (this.scale - 1)) / 2, (clientHeight * (this.scale - 1)) / 2];
    this.x = Math.min(right, Math.max(-right, x));
    this.y = Math.min(bottom, Math.max(-bottom, y));
  }
}

type Point = { x: number; y: number };
const distance = (a: Point, b: Point) => Math.hypot(a.x - b.x, a.y - b.y);
const middle = (a: Point, b: Point) => ({ clientX: (a.x + b.x) / 2, clientY: (a.y + b.y) / 2 });
