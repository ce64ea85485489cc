// One policy in its scene: what is where, what the search has found, and what follows.

import { courseTo, sceneOf, windowOf } from "./scenes.js";
import { program } from "./program.js";

/** Settings of searches; those of the policy's own replace them. */
const DEFAULTS = {
  GradientDescent: { num_candidates: 16, num_iterations: 40, step_init: 1.5, step_final: 1e-3, power: 2, delta_clip: 0.5 },
  ULA: { num_candidates: 64, num_iterations: 60, step_init: 0.05, step_final: 1e-3, temperature: 0.1 },
  DFO: { num_candidates: 256, num_iterations: 5, noise_std: 0.33, shrink: 0.5, temperature: 0.1 },
};
/** Points along a side of the map: while things move, and when they rest. */
const COARSE = 40, FINE = 96;
/** Points by which OR and NOT are calibrated: while things move, and when they rest, as in the library. */
const FEW = 512, ALL = 4096;

export class Stage {
  /**
   * @param descriptions of all policies, index of the one that is shown, solver that answers jobs.
   * @param changed called whenever there is something new to draw.
   */
  constructor(descriptions, index, solver, changed) {
    Object.assign(this, { descriptions, index, solver, changed });
    this.policy = descriptions[index];
    this.scene = sceneOf(this.policy);
    this.horizon = this.scene.horizon?.(this.policy);
    this.searches = structuredClone(DEFAULTS);
    const { name, ...own } = this.policy.search;
    if (own.num_candidates) this.searches[name] = { ...this.searches[name], ...own };
    this.settings = {
      search: this.searches[name] ? name : "GradientDescent", operation: "none", second: this.seconds()[0]?.value,
      hard: true, temperature: own.temperature ?? 0.1, pace: 0.3, radius: this.scene.obstacle?.radius,
    };
    this.ownSearch = name;
    this.sceneSeed = this.seed = 1; // of where things are, and of the search
    this.version = 0;
    this.playing = false;
    this.restart();
  }

  /** Second energies that there are: the same with moved goals, and other policies for the same observations. */
  seconds() {
    const same = (other) => other !== this.policy && other.obs_horizon === this.policy.obs_horizon
      && JSON.stringify(Object.entries(other.obs).sort()) === JSON.stringify(Object.entries(this.policy.obs).sort());
    const others = this.descriptions.flatMap((other, i) => (same(other) ? [{ value: i, name: other.name }] : []));
    const moved = this.scene.step ? [{ value: "moved", name: "the same, with moved goals" }] : [];
    return [...moved, ...others];
  }

  get showsMoved() {
    return this.settings.operation !== "none" && this.settings.second === "moved";
  }

  /** Begin anew: everything where it was at first, or elsewhere after a change of the scene's seed. */
  restart() {
    this.world = { ...this.scene.start(this.sceneSeed, this.policy), obstacles: this.world?.obstacles ?? [] };
    this._placed();
  }

  /** Things were moved by hand: what came before is made up, and what follows is new. */
  _placed() {
    this.course = courseTo(this.scene, this.policy, this.world.body);
    this.trail = [];
    this.count = 0;
    this.body = this.world.body;
  }

  /** What can be dragged. */
  handles() {
    const obstacles = this.world.obstacles.map((disk, i) => ({
      key: `disk${i}`, label: `obstacle ${i + 1}`, at: disk.at, set: (at) => { disk.at = at; },
    }));
    return [...obstacles, ...this.scene.handles(this.world, this.showsMoved)];
  }

  move(key, at) {
    this.handles().find((handle) => handle.key === key).set(at);
    if (!/^(goal|moved|disk)/.test(key)) this._placed();
    this.update({ rests: false });
  }

  setObstacles(count) {
    const { obstacles } = this.world;
    const stops = [this.scene.place(this.world.body), ...this.world.goals.map(({ at }) => at)];
    while (obstacles.length < count) { // between one stop and the next, then elsewhere on the way to the last
      const made = obstacles.length, legs = stops.length - 1;
      const [a, b] = made < legs ? stops.slice(made) : [stops[0], stops.at(-1)];
      const share = made < legs ? 1 / 2 : 1 / 2 ** (made - legs + 2); // 1/4, 1/8, ...
      obstacles.push({ at: a.map((x, d) => x + share * (b[d] - x)) });
    }
    obstacles.length = count;
    this.update();
  }

  /** A job for the worker: the energy at the end of a course. */
  job(course, more) {
    const { scene, policy, world, settings, index } = this;
    const see = (goals) => windowOf(scene, policy, course, goals);
    const second = settings.operation === "none" ? null : {
      policy: settings.second === "moved" ? index : settings.second,
      obs: see(settings.second === "moved" ? world.moved : world.goals),
    };
    const search = { ...this.searches[settings.search], name: settings.search };
    if (settings.search !== "GradientDescent") search.temperature = settings.temperature;
    return {
      policy: index, obs: see(world.goals), second, operation: settings.operation, temperature: settings.temperature,
      disks: world.obstacles.map(({ at }) => ({ at, radius: settings.radius })), hard: settings.hard,
      prediction: world.obstacles.length ? scene.predict(course.at(-1)) : null, seed: this.seed + this.count, search, calibration: FEW, ...more,
    };
  }

  /** Compute map and search anew; with `rests`, the map in detail and what follows, too. */
  async update({ rests = true, animate = false } = {}) {
    const version = ++this.version;
    this.following = [];
    this.solver.drop("detail", "preview");
    this.changed();
    const result = await this.solver.ask("scene", this.job(this.course, { map: COARSE }));
    if (!result || version !== this.version) return;
    this._found(result);
    if (animate) this.onSearch?.();
    if (!rests || this.playing) return;
    const detail = await this.solver.ask("detail", this.job(this.course, { map: FINE, search: null, calibration: ALL, probe: result.action }));
    if (!detail || version !== this.version || this.playing) return;
    this.map = detail.map;
    [this.result.energy] = detail.probe;
    this.changed();
    if (this.scene.step) await this._follow(version);
  }

  _found(result) {
    this.result = { ...result, search: this.settings.search };
    this.map = result.map;
    this.changed();
  }

  /** Simulate the closed loop from here, to draw the path that follows. */
  async _follow(version) {
    const course = [...this.course];
    for (let i = this.count; i < this.horizon; i++) {
      if (this.scene.isSolved(course.at(-1), this.world.goals)) return;
      const result = await this.solver.ask("preview", { ...this.job(course, {}), seed: this.seed + i });
      if (!result || version !== this.version || this.playing) return;
      course.push(this.scene.step(course.at(-1), result.action, this.world.goals).at(-1));
      this.following.push(course.at(-1));
      this.changed();
    }
  }

  /**
   * Decide and act once.
   *
   * @param animate `{search(result), move(frames)}`, which return promises.
   * @returns whether it was done; a change meanwhile ends it.
   */
  async decide(animate) {
    this.following = [];
    this.solver.drop("scene", "detail", "preview");
    const version = ++this.version;
    const result = await this.solver.ask("play", this.job(this.course, { map: COARSE }));
    if (!result || version !== this.version) return false;
    this._found(result);
    await animate.search();
    if (version !== this.version) return false;
    const frames = this.scene.step(this.course.at(-1), result.action, this.world.goals);
    await animate.move(frames);
    if (version !== this.version) return false;
    this.trail.push(this.course.at(-1));
    this.course.push(frames.at(-1));
    this.world.body = this.body = frames.at(-1);
    this.count++;
    this.changed();
    return true;
  }

  get isOver() {
    return this.count >= this.horizon || this.scene.isSolved(this.world.body, this.world.goals);
  }

  status() {
    const { result, scene, world } = this;
    if (!result) return "computing …";
    const found = result.feasible ? `energy ${result.energy.toPrecision(3).replace("-", "−")}` : "no candidate keeps the obstacles";
    const state = scene.status(this.body, world.goals);
    return [scene.step ? `decision ${this.count} of ${this.horizon}` : "", state, found].filter(Boolean).join(" · ");
  }

  /** The scene as a Python program; null where it was asked for again meanwhile. */
  async program() {
    const probe = [...this.result.action, ...this.result.frames[0].slice(0, 14)];
    const job = this.job(this.course, { search: null, calibration: ALL, probe });
    const answer = await this.solver.ask("probe", job);
    return answer && program(job, this.descriptions.map(({ path }) => path), this.scene, probe, answer.probe);
  }
}
