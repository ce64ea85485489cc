// The page's side of the worker: one job at a time, the most urgent first, and of each kind the latest only.

const KINDS = ["play", "scene", "detail", "preview", "probe"];

export class Solver {
  constructor(worker, data) {
    this.worker = worker;
    this.waiting = new Map();
    this.running = null;
    worker.postMessage(data);
    worker.onmessage = ({ data: result }) => {
      const { done } = this.running;
      this.running = null;
      done(result);
      this._next();
    };
  }

  /** Ask for an answer; a job of the same kind that has not begun is forgotten, and answered by null. */
  ask(kind, job) {
    return new Promise((done) => {
      this.drop(kind);
      this.waiting.set(kind, { job, done });
      this._next();
    });
  }

  /** Forget jobs that have not begun; who asked is told null. */
  drop(...kinds) {
    for (const kind of kinds) {
      this.waiting.get(kind)?.done(null);
      this.waiting.delete(kind);
    }
  }

  _next() {
    if (this.running) return;
    const kind = KINDS.find((name) => this.waiting.has(name));
    if (!kind) return;
    this.running = this.waiting.get(kind);
    this.waiting.delete(kind);
    this.worker.postMessage(this.running.job);
  }
}
