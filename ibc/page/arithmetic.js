// The network of an energy: its value and its gradient by the action, for many actions and one observation.
// The same formulas as ibc/nn/encoders.py and ibc/nn/energy_head.py, in double precision.

/** Mean square of a learned vector below which its length is as good as zero (ibc/nn/encoders.py). */
const NEGLIGIBLE = 1e-4;
const VECTOR_SIZE = 16;
/** Actions that are computed at once: their activations stay in the cache. */
const ROWS = 64;

/** Numbers from base64, three bytes each: the upper bytes of single precision. */
export function unpack(text) {
  const bytes = atob(text);
  const bits = new Uint32Array(bytes.length / 3);
  for (let i = 0; i < bits.length; i++) {
    const low = bytes.charCodeAt(3 * i), mid = bytes.charCodeAt(3 * i + 1), high = bytes.charCodeAt(3 * i + 2);
    bits[i] = ((high << 24) | (mid << 16) | (low << 8)) >>> 0;
  }
  return Float64Array.from(new Float32Array(bits.buffer));
}

/** Compute `output = input weight^T + bias` for `count` rows; weight is (outputs, inputs), bias may be null. */
export function dense(input, count, weight, bias, output) {
  const { rows: m, columns: k, data } = weight;
  for (let i = 0; i < count; i += 2) {
    const next = Math.min(i + 1, count - 1);
    const a = i * k, b = next * k;
    for (let j = 0; j < m; j += 4) { // two rows by four outputs at once; the last ones may be repeated
      const j1 = Math.min(j + 1, m - 1), j2 = Math.min(j + 2, m - 1), j3 = Math.min(j + 3, m - 1);
      const w0 = j * k, w1 = j1 * k, w2 = j2 * k, w3 = j3 * k;
      let s0 = bias ? bias[j] : 0, s1 = bias ? bias[j1] : 0, s2 = bias ? bias[j2] : 0, s3 = bias ? bias[j3] : 0;
      let t0 = s0, t1 = s1, t2 = s2, t3 = s3;
      for (let q = 0; q < k; q++) {
        const u = input[a + q], v = input[b + q];
        const c0 = data[w0 + q], c1 = data[w1 + q], c2 = data[w2 + q], c3 = data[w3 + q];
        s0 += u * c0; s1 += u * c1; s2 += u * c2; s3 += u * c3;
        t0 += v * c0; t1 += v * c1; t2 += v * c2; t3 += v * c3;
      }
      const o = i * m, p = next * m;
      output[o + j] = s0; output[o + j1] = s1; output[o + j2] = s2; output[o + j3] = s3;
      output[p + j] = t0; output[p + j1] = t1; output[p + j2] = t2; output[p + j3] = t3;
    }
  }
  return output;
}

function transposed({ rows, columns, data }) {
  const out = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j];
  return { rows: columns, columns: rows, data: out };
}

function rectified(values) {
  return values.map((x) => Math.max(x, 0));
}

function one(input, weight, bias) {
  return dense(input, 1, weight, bias, new Float64Array(weight.rows));
}

/** The network of one policy, from its description (ibc/page/describe.py). */
export class Network {
  constructor(description) {
    this.vectors = description.vectors;
    this.horizon = description.obs_horizon;
    const { shapes, weights, head, relative, num_blocks: count, num_distance_features: distances } = description.network;
    this.head = head;
    this.relative = relative;
    this.distances = distances;
    const numbers = unpack(weights);
    const arrays = {};
    let start = 0;
    for (const [name, shape] of Object.entries(shapes)) {
      const size = shape.reduce((a, b) => a * b, 1);
      const data = numbers.subarray(start, start + size);
      start += size;
      arrays[name] = shape.length === 2 ? { rows: shape[0], columns: shape[1], data } : data;
    }
    this.arrays = arrays;
    this.width = arrays.action.rows;
    this.blocks = [];
    for (let i = 0; i < count; i++) {
      const [w1, b1, w2, b2] = ["w1", "b1", "w2", "b2"].map((name) => arrays[`block${i}.${name}`]);
      this.blocks.push({ w1, b1, w2, b2, w1t: transposed(w1), w2t: transposed(w2) });
    }
    this.last = this.blocks.length ? this._mergeLast(this.blocks.pop()) : null;
    this.outTransposed = transposed(arrays.out);
    this.actionTransposed = transposed(arrays.action);
  }

  /** Merge the second layer of the last block with the output layer: nothing but a sum lies between them. */
  _mergeLast(block) {
    const { out, out_bias: outBias } = this.arrays;
    const merged = { rows: out.rows, columns: this.width, data: new Float64Array(out.rows * this.width) };
    dense(out.data, out.rows, block.w2t, null, merged.data);
    const shift = one(block.b2, out, outBias);
    return { ...block, merged, mergedTransposed: transposed(merged), shift };
  }

  /** Encode an observation `{name: [To numbers arrays]}` in environment units. */
  features(obs) {
    const parts = [];
    for (const { name, angles, mean, scale } of this.vectors) {
      for (const frame of obs[name]) {
        const values = Array.from(frame);
        const sines = angles.map((i) => Math.sin(values[i]));
        for (const i of angles) values[i] = Math.cos(values[i]);
        parts.push(...values.concat(sines).map((x, i) => (x - mean[i]) / scale[i]));
      }
    }
    const x = Float64Array.from(parts);
    return this.arrays["gated.gate.weight"] ? Float64Array.from([...x, ...this._gated(x)]) : x;
  }

  _gated(x) {
    const apply = (name) => one(x, this.arrays[`gated.${name}.weight`], this.arrays[`gated.${name}.bias`]);
    const left = apply("left"), right = apply("right");
    const hidden = [...rectified(apply("rectified")), ...left.map((v, i) => v * right[i])];
    if (this.distances) hidden.push(...this._lengthsAndAngles(apply("vectors")));
    const gate = one(Float64Array.from(hidden), this.arrays["gated.gate.weight"], this.arrays["gated.gate.bias"]);
    return apply("value").map((v, i) => v / (1 + Math.exp(-gate[i])));
  }

  _lengthsAndAngles(vectors) {
    const units = [], lengths = [], cosines = [];
    for (let i = 0; i < this.distances; i++) {
      const v = vectors.slice(i * VECTOR_SIZE, (i + 1) * VECTOR_SIZE);
      const square = v.reduce((sum, z) => sum + z * z, 0) / VECTOR_SIZE + NEGLIGIBLE;
      lengths.push(Math.log(square));
      units.push(v.map((z) => z / Math.sqrt(VECTOR_SIZE * square)));
    }
    for (let i = 0; i < units.length; i++) {
      for (let j = i + 1; j < units.length; j++) {
        cosines.push(units[i].reduce((sum, z, q) => sum + z * units[j][q], 0));
      }
    }
    return [...lengths, ...cosines];
  }

  /** The predicted action in the unit cube, relative to which some energies see actions; null where there is none. */
  proposal(features) {
    const apply = (x, layer) => one(x, this.arrays[`proposal.${layer}.weight`], this.arrays[`proposal.${layer}.bias`]);
    if (!this.arrays["proposal.dense_in.weight"]) return null;
    let h = apply(features, "dense_in");
    for (let i = 0; this.arrays[`proposal.blocks.${i}.dense1.weight`]; i++) {
      const inner = apply(rectified(h), `blocks.${i}.dense1`);
      const change = apply(rectified(inner), `blocks.${i}.dense2`);
      h = h.map((x, j) => x + change[j]);
    }
    return apply(h, "dense_out");
  }

  /** The energy for one observation, as a function of actions in the unit cube. */
  bind(obs) {
    const features = this.features(obs);
    const context = one(features, this.arrays.features, this.arrays.features_bias);
    return new BoundNetwork(this, context, this.proposal(features));
  }
}

/** A network with its observation bound: energies and gradients of actions (x, y, x, y, ...) in the unit cube. */
export class BoundNetwork {
  constructor(network, context, proposal) {
    this.network = network;
    this.context = context;
    this.proposal = proposal;
  }

  energy(unit) {
    return this._evaluate(unit, false).energy;
  }

  gradient(unit) {
    return this._evaluate(unit, true).gradient;
  }

  _evaluate(given, wantsGradient) {
    const shifted = this.proposal && this.network.relative;
    const unit = shifted ? given.map((x, i) => x - this.proposal[i % 2]) : given;
    const total = unit.length / 2;
    const result = { energy: new Float64Array(total), gradient: wantsGradient ? new Float64Array(unit.length) : null };
    for (let start = 0; start < total; start += ROWS) {
      const count = Math.min(ROWS, total - start);
      const part = unit.subarray(2 * start, 2 * (start + count));
      const { energy, gradient } = this._rows(part, count, wantsGradient);
      result.energy.set(energy, start);
      if (wantsGradient) result.gradient.set(gradient, 2 * start);
    }
    return result;
  }

  _rows(action, count, wantsGradient) {
    const { network, context } = this;
    const { arrays, width, blocks, last } = network;
    const make = (size) => new Float64Array(count * size);
    let h = dense(action, count, arrays.action, context, make(width));
    const passed = [];
    for (const block of blocks) {
      const inner = dense(rectified(h), count, block.w1, block.b1, make(width));
      const change = dense(rectified(inner), count, block.w2, block.b2, make(width));
      passed.push({ block, h, inner });
      h = change.map((x, i) => x + h[i]);
    }
    const size = arrays.out.rows;
    const out = dense(h, count, arrays.out, last ? last.shift : arrays.out_bias, make(size));
    if (last) {
      const inner = dense(rectified(h), count, last.w1, last.b1, make(width));
      const change = dense(rectified(inner), count, last.merged, null, make(size));
      for (let i = 0; i < out.length; i++) out[i] += change[i];
      passed.push({ block: last, h, inner });
    }
    if (network.head === "reconstruction") for (let i = 0; i < out.length; i++) out[i] -= action[i];
    const energy = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      if (network.head === "scalar") energy[i] = out[i];
      else for (let j = 0; j < size; j++) energy[i] += 0.5 * out[i * size + j] ** 2;
    }
    return { energy, gradient: wantsGradient ? this._backward(out, passed, count) : null };
  }

  /** Go back through the layers; `out` is the output of the head, for reconstruction minus the action. */
  _backward(out, passed, count) {
    const { outTransposed, actionTransposed, width, head } = this.network;
    const make = () => new Float64Array(count * width);
    const seed = head === "scalar" ? out.map(() => 1) : out;
    let gradient = dense(seed, count, outTransposed, null, make());
    for (const { block, h, inner } of passed.reverse()) {
      const behind = block.mergedTransposed
        ? dense(seed, count, block.mergedTransposed, null, make())
        : dense(gradient, count, block.w2t, null, make());
      for (let i = 0; i < behind.length; i++) if (!(inner[i] > 0)) behind[i] = 0;
      const change = dense(behind, count, block.w1t, null, make());
      for (let i = 0; i < gradient.length; i++) if (h[i] > 0) gradient[i] += change[i];
    }
    const result = dense(gradient, count, actionTransposed, null, new Float64Array(count * 2));
    if (head === "reconstruction") for (let i = 0; i < result.length; i++) result[i] -= seed[i];
    return result;
  }
}
