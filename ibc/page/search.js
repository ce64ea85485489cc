// Searches of an energy for the action of lowest energy, as ibc/samplers has them; everything in the unit cube.

import { clamp, fromUnit, toUnit } from "./compose.js";

/** Random numbers from a seed (mulberry32), uniform and normal. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  uniform() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  normal() {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}

/** An energy in the unit cube of a policy's bounds, and the box that is searched there. */
export class Space {
  constructor(energy, bounds, box) {
    this.fn = energy;
    this.bounds = bounds;
    this.box = { low: Array.from(toUnit(box.low, bounds)), high: Array.from(toUnit(box.high, bounds)) };
  }

  energy(unit) {
    return this.fn.energy(fromUnit(unit, this.bounds));
  }

  gradient(unit) {
    return this.fn.gradient(fromUnit(unit, this.bounds)).map((g, i) => g * this.bounds.half_range[i % 2]);
  }

  clamp(unit) {
    return clamp(unit, this.box);
  }

  /** The center, and candidates around it. */
  around(count, rng, { center, std }) {
    return this.clamp(new Float64Array(2 * count).map((_, i) => center[i % 2] + (i < 2 ? 0 : std * rng.normal())));
  }

  uniform(count, rng) {
    const { low, high } = this.box;
    return new Float64Array(2 * count).map((_, i) => low[i % 2] + (high[i % 2] - low[i % 2]) * rng.uniform());
  }
}

/** `(init - final) * (1 - i / (n - 1)) ** power + final`. */
export function schedule(count, init, final, power) {
  if (count === 1) return [init];
  return Array.from({ length: count }, (_, i) => (init - final) * (1 - i / (count - 1)) ** power + final);
}

/** Indices drawn with replacement in proportion to `exp(-energy / temperature)`, by inverting the CDF. */
export function resample(energy, uniforms, temperature) {
  const lowest = energy.reduce((a, b) => Math.min(a, b), Infinity);
  let total = 0;
  const cdf = energy.map((e) => (total += Math.exp((lowest - e) / temperature)));
  return Array.from(uniforms, (u) => {
    let low = 0, high = cdf.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cdf[middle] < u * total) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/** Gradient descent; with `noise_std`, the annealed noise of the IBC paper (ibc/samplers/gradient_descent.py). */
function descend(space, init, rng, s) {
  const frames = [init];
  const limit = space.box.low.map((low, i) => s.delta_clip * 0.5 * (space.box.high[i] - low));
  let unit = init;
  for (const step of schedule(s.num_iterations, s.step_init, s.step_final, s.power)) {
    const gradient = space.gradient(unit);
    const moved = space.clamp(unit.map((x, i) => {
      const direction = 0.5 * gradient[i] + (s.noise_std ? s.noise_std * rng.normal() : 0);
      return x - Math.min(Math.max(step * direction, -limit[i % 2]), limit[i % 2]);
    }));
    if (s.settle && moved.every((x, i) => Math.abs(x - unit[i]) <= s.settle)) break;
    unit = moved;
    frames.push(unit);
  }
  return { frames, energy: space.energy(unit) };
}

/** The derivative-free optimizer of the IBC paper (ibc/samplers/dfo.py). */
function dfo(space, init, rng, s) {
  const frames = [init];
  let unit = init, energy = space.energy(init), std = s.noise_std;
  for (let i = 1; i < s.num_iterations; i++) {
    const chosen = resample(energy, energy.map(() => rng.uniform()), s.temperature);
    const before = unit;
    unit = space.clamp(unit.map((_, q) => before[2 * chosen[q >> 1] + (q % 2)] + std * rng.normal()));
    energy = space.energy(unit);
    std *= s.shrink;
    frames.push(unit);
  }
  return { frames, energy };
}

/** The unadjusted Langevin algorithm on `E / temperature`, reflected at the bounds (ibc/samplers/ula.py). */
function ula(space, init, rng, s) {
  const frames = [init];
  const { low, high } = space.box;
  let unit = init;
  for (const step of schedule(s.num_iterations, s.step_init, s.step_final, 1)) {
    const gradient = space.gradient(unit);
    unit = space.clamp(unit.map((x, i) => {
      const moved = x - (0.5 * step * gradient[i]) / s.temperature + Math.sqrt(step) * rng.normal();
      return reflect(moved, low[i % 2], high[i % 2]);
    }));
    frames.push(unit);
  }
  return { frames, energy: space.energy(unit) };
}

function reflect(x, low, high) {
  const width = high - low;
  if (!(width > 0)) return low;
  const phase = (((x - low) % (2 * width)) + 2 * width) % (2 * width);
  return low + (phase > width ? 2 * width - phase : phase);
}

const SEARCHES = { GradientDescent: descend, IBCLangevin: descend, DFO: dfo, ULA: ula };

/**
 * Search for the action of lowest energy.
 *
 * With `hard`, it is the best feasible candidate of the first and the last set, and the one of least violation where
 * none is feasible (ibc/policies/composed.py).
 *
 * @param around `{center, std}` of the first candidates in the unit cube; null spreads them over the box.
 * @returns frames: candidates after each iteration, environment units; chosen: index into the last frame and the first.
 */
export function search(space, settings, seed, hard, around = null) {
  const rng = new Random(seed);
  const init = around ? space.around(settings.num_candidates, rng, around) : space.uniform(settings.num_candidates, rng);
  const { frames, energy } = SEARCHES[settings.name](space, init, rng, settings);
  const actions = frames.map((unit) => fromUnit(unit, space.bounds));
  let candidates = actions.at(-1), values = energy, feasible = true;
  if (hard && space.fn.isConstrained) {
    candidates = Float64Array.from([...candidates, ...actions[0]]);
    values = Float64Array.from([...values, ...space.energy(init)]);
    const allowed = space.fn.feasible(candidates);
    feasible = allowed.some(Boolean);
    const violation = feasible ? null : space.fn.violation(candidates);
    values = values.map((e, i) => (feasible ? (allowed[i] ? e : Infinity) : violation[i]));
  }
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] < values[best]) best = i;
  const action = [candidates[2 * best], candidates[2 * best + 1]];
  return { frames: actions, action, feasible };
}
