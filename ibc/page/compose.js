// Energies made of energies, as ibc/composition and ibc/constraints define them; everything in environment units.
// A bound energy here has: energy(action), gradient(action), feasible(action), violation(action), isConstrained.

/** Stiffness outside a term's box, and tolerance of a constraint: ibc/composition/bound.py, ibc/constraints/base.py. */
const BARRIER = 1e4;
const TOLERANCE = 1e-6;
const TINY = 1e-12;

class Bound {
  constructor() {
    this.isConstrained = false;
  }

  feasible(action) {
    return new Array(action.length / 2).fill(true);
  }

  violation(action) {
    return new Float64Array(action.length / 2);
  }
}

/** A network's energy in environment units. */
export class Learned extends Bound {
  constructor(bound, bounds) {
    super();
    this.bound = bound;
    this.bounds = bounds;
  }

  energy(action) {
    return this.bound.energy(toUnit(action, this.bounds));
  }

  gradient(action) {
    const { half_range: half } = this.bounds;
    return this.bound.gradient(toUnit(action, this.bounds)).map((g, i) => g / half[i % 2]);
  }
}

export function toUnit(action, { center, half_range: half }) {
  return action.map((x, i) => (x - center[i % 2]) / half[i % 2]);
}

export function fromUnit(unit, { center, half_range: half }) {
  return unit.map((x, i) => x * half[i % 2] + center[i % 2]);
}

/** The box in which a learned energy is searched. */
export function boxOf({ center, half_range: half, unit_low: low, unit_high: high }) {
  return { low: low.map((x, i) => x * half[i] + center[i]), high: high.map((x, i) => x * half[i] + center[i]) };
}

export function intersection(a, b) {
  return { low: a.low.map((x, i) => Math.max(x, b.low[i])), high: a.high.map((x, i) => Math.min(x, b.high[i])) };
}

export function hull(a, b) {
  return { low: a.low.map((x, i) => Math.min(x, b.low[i])), high: a.high.map((x, i) => Math.max(x, b.high[i])) };
}

export function clamp(values, { low, high }) {
  return values.map((x, i) => Math.min(Math.max(x, low[i % 2]), high[i % 2]));
}

/** `weight * (energy / temperature + log Z)`, with a barrier outside of its box where it has one. */
export class Term {
  constructor(fn, { weight = 1, temperature = 1, logZ = 0, box = null } = {}) {
    Object.assign(this, { fn, weight, temperature, logZ, box });
  }

  energy(action) {
    const inside = this.box ? clamp(action, this.box) : action;
    const energy = this.fn.energy(inside).map((e) => e / this.temperature + this.logZ);
    if (this.box) this._outside(action).forEach((x, i) => { energy[i >> 1] += BARRIER * x * x; });
    return energy;
  }

  gradient(action) {
    const inside = this.box ? clamp(action, this.box) : action;
    const gradient = this.fn.gradient(inside).map((g) => g / this.temperature);
    if (!this.box) return gradient;
    const outside = this._outside(action), half = halfRange(this.box);
    return gradient.map((g, i) => (inside[i] === action[i] ? g : (2 * BARRIER * outside[i]) / half[i % 2]));
  }

  _outside(action) {
    const half = halfRange(this.box);
    return clamp(action, this.box).map((x, i) => (action[i] - x) / half[i % 2]);
  }

  /** Calibrate it by the log-mean of `exp(-E / T)` over points spread over a box. */
  calibrated(box, points) {
    const term = new Term(this.fn, { ...this, box });
    const energy = term.energy(points).map((e) => -e);
    term.logZ = logSumExp(energy) - Math.log(energy.length);
    return term;
  }
}

function halfRange({ low, high }) {
  return low.map((x, i) => (high[i] > x ? (high[i] - x) / 2 : 1));
}

export function logSumExp(values) {
  const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return largest + Math.log(values.reduce((sum, x) => sum + Math.exp(x - largest), 0));
}

/** The weighted sum. */
export class AllOf extends Bound {
  constructor(terms) {
    super();
    this.terms = terms;
    this.isConstrained = terms.some((term) => term.fn.isConstrained);
  }

  energy(action) {
    return this._sum((term) => term.energy(action), (term) => term.weight);
  }

  gradient(action) {
    return this._sum((term) => term.gradient(action), (term) => term.weight);
  }

  feasible(action) {
    const each = this.terms.map((term) => term.fn.feasible(action));
    return each[0].map((_, i) => each.every((values) => values[i]));
  }

  violation(action) {
    return this._sum((term) => term.fn.violation(action), (term) => term.weight / term.temperature);
  }

  _sum(values, weight) {
    const [first, ...others] = this.terms;
    const total = values(first).map((x) => weight(first) * x);
    for (const term of others) values(term).forEach((x, i) => { total[i] += weight(term) * x; });
    return total;
  }
}

/** The mixture of calibrated terms: `-logsumexp(log w_i - e_i)`, with weights that sum to one. */
export class AnyOf extends Bound {
  constructor(terms) {
    super();
    const total = terms.reduce((sum, term) => sum + term.weight, 0);
    this.terms = terms;
    this.logs = terms.map((term) => Math.log(term.weight / total));
  }

  _logParts(action) {
    return this.terms.map((term, k) => term.energy(action).map((e) => this.logs[k] - e));
  }

  energy(action) {
    const parts = this._logParts(action);
    return parts[0].map((_, i) => -logSumExp(parts.map((values) => values[i])));
  }

  gradient(action) {
    const parts = this._logParts(action);
    const gradients = this.terms.map((term) => term.gradient(action));
    return gradients[0].map((_, i) => {
      const logits = parts.map((values) => values[i >> 1]);
      const total = logSumExp(logits);
      return logits.reduce((sum, x, k) => sum + Math.exp(x - total) * gradients[k][i], 0);
    });
  }
}

/** `strength * sigmoid(-e)` of one calibrated term. */
export class Not extends Bound {
  constructor(term, strength) {
    super();
    this.term = term;
    this.strength = strength;
  }

  energy(action) {
    return this.term.energy(action).map((e) => this.strength / (1 + Math.exp(e)));
  }

  gradient(action) {
    const slope = this.term.energy(action).map((e) => -this.strength / ((1 + Math.exp(e)) * (1 + Math.exp(-e))));
    return this.term.gradient(action).map((g, i) => slope[i >> 1] * g);
  }
}

/** Points out of a disk: `strength * sum_k max(0, radius - |p_k - center|)^2`, with `p_k = offset_k + gain_k action`. */
export class KeepOutDisk extends Bound {
  constructor(center, radius, { offset, gain }, strength = BARRIER) {
    super();
    Object.assign(this, { center, radius, offset, gain, strength, isConstrained: true });
  }

  /** Call `visit(action index, point index, x, y, distance)` for every point inside of the disk. */
  _visitInside(action, visit) {
    const { center, radius, offset, gain } = this;
    for (let i = 0; i < action.length / 2; i++) {
      for (let k = 0; k < gain.length; k++) {
        const x = offset[2 * k] + gain[k] * action[2 * i] - center[0];
        const y = offset[2 * k + 1] + gain[k] * action[2 * i + 1] - center[1];
        const distance = Math.max(Math.hypot(x, y), TINY);
        if (distance < radius) visit(i, k, x, y, distance);
      }
    }
  }

  energy(action) {
    const energy = new Float64Array(action.length / 2);
    this._visitInside(action, (i, k, x, y, d) => { energy[i] += this.strength * (this.radius - d) ** 2; });
    return energy;
  }

  gradient(action) {
    const gradient = new Float64Array(action.length);
    this._visitInside(action, (i, k, x, y, d) => {
      const factor = 2 * this.strength * (1 - this.radius / d) * this.gain[k];
      gradient[2 * i] += factor * x;
      gradient[2 * i + 1] += factor * y;
    });
    return gradient;
  }

  feasible(action) {
    const feasible = super.feasible(action);
    this._visitInside(action, (i, k, x, y, d) => { if (this.radius - d > TOLERANCE) feasible[i] = false; });
    return feasible;
  }

  violation(action) {
    const feasible = this.feasible(action);
    return this.energy(action).map((e, i) => (feasible[i] ? 0 : e));
  }
}

/** Points of a fixed low-discrepancy sequence in [0, 1]^2, spread over a box. */
export function spread(points, { low, high }) {
  return points.map((u, i) => low[i % 2] + (high[i % 2] - low[i % 2]) * u);
}

/**
 * Combine two learned energies.
 *
 * - `and`: their mean, `(E1 + E2) / 2`;
 * - `or`: `-T log sum_i exp(-(E_i / T + log Z_i)) / 2`, in the smallest box around both;
 * - `not`: `E1 + T strength sigmoid(-(E2 / T + log Z))`, bounded however low the second energy is.
 *
 * @param points of the calibration in [0, 1]^2, as `Box.spread` of ibc/energies/box.py gives them.
 * @returns the energy and the box in which it is searched.
 */
export function combine(operation, [first, second], { temperature, strength, points }) {
  const [own, other] = [first, second].map((fn) => boxOf(fn.bounds));
  if (operation === "and") {
    const terms = [first, second].map((fn) => new Term(fn, { weight: 0.5 }));
    return { energy: new AllOf(terms), box: intersection(own, other) };
  }
  if (operation === "or") {
    const box = hull(own, other);
    const around = spread(points, box);
    const terms = [[first, own], [second, other]].map(([fn, limits]) =>
      new Term(fn, { weight: 0.5, temperature }).calibrated(limits, around));
    return { energy: new AllOf([new Term(new AnyOf(terms), { weight: temperature })]), box };
  }
  const sharp = new AllOf([new Term(second, { weight: 1 / temperature })]);
  const not = new Not(new Term(sharp).calibrated(other, spread(points, other)), strength);
  return { energy: new AllOf([new Term(first), new Term(not, { weight: temperature })]), box: own };
}
