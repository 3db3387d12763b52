// Which resyncs of a node may run at a time: so many, in the order in which they asked; the others wait. A paused one holds no place.
// Owner of the places; one object for all groups of an agent.

export const RESYNC_PARALLEL_DEFAULT = 2;

export type TurnState = 'running' | 'waiting' | 'paused';

export class ResyncTurns {
  readonly #max: number;
  readonly #running = new Set<ResyncTurn>();
  readonly #waiting = new Set<ResyncTurn>();

  /** `max`: at least 1. */
  constructor(max = RESYNC_PARALLEL_DEFAULT) {
    this.#max = max;
  }

  get max(): number {
    return this.#max;
  }

  isRunning(turn: ResyncTurn): boolean {
    return this.#running.has(turn);
  }

  enter(turn: ResyncTurn): void {
    if (this.#running.has(turn)) return;
    this.#waiting.add(turn);
    this.#next();
  }

  leave(turn: ResyncTurn): void {
    this.#waiting.delete(turn);
    if (this.#running.delete(turn)) this.#next();
  }

  #next(): void {
    for (const turn of this.#waiting) {
      if (this.#running.size >= this.#max) return;
      this.#waiting.delete(turn);
      this.#running.add(turn);
      turn.granted();
    }
  }
}

/** The place of one resync. `onChange` is called when it may run; it asks `isRunning` again before every piece. */
export class ResyncTurn {
  readonly #turns: ResyncTurns;
  readonly #onChange: () => void;
  #isPaused: boolean;
  #isStopped = false;

  constructor(turns: ResyncTurns, isPaused: boolean, onChange: () => void) {
    this.#turns = turns;
    this.#isPaused = isPaused;
    this.#onChange = onChange;
  }

  get state(): TurnState {
    if (this.#isPaused) return 'paused';
    return this.#turns.isRunning(this) ? 'running' : 'waiting';
  }

  /** Why it does not run; empty when it does. */
  get reason(): string {
    if (this.#isPaused) return 'the resync is paused';
    return this.state === 'running' ? '' : `waits for its turn: ${this.#turns.max} resyncs run at a time on this node (resync_parallel)`;
  }

  get isRunning(): boolean {
    return !this.#isPaused && this.#turns.isRunning(this);
  }

  start(): void {
    if (!this.#isPaused && !this.#isStopped) this.#turns.enter(this);
  }

  setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#turns.leave(this);
    else this.start();
  }

  stop(): void {
    this.#isStopped = true;
    this.#turns.leave(this);
  }

  granted(): void {
    this.#onChange();
  }
}
