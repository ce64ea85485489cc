// What is computed beside the drawing: energies, maps and searches of one observation at a time.

import { Network } from "./arithmetic.js";
import { AllOf, combine, KeepOutDisk, Learned, Term, boxOf } from "./compose.js";
import { search, Space } from "./search.js";
import { unpack } from "./arithmetic.js";
import { sceneOf } from "./scenes.js";

/** Strength of the second energy under NOT, in temperatures: the default of ibc.composition.Not. */
export const STRENGTH = 10;

/**
 * Compose the energy that a job describes.
 *
 * @param job `{policy, obs, second: {policy, obs} | null, operation, temperature, calibration, disks, prediction}`;
 *   calibration: how many points there are to calibrate OR and NOT with; all of them give what the library gives.
 * @returns `{energy, learned, box, bounds, around}`: `learned` is the energy without the disks, `around` where the
 *   policy's own search begins, or null.
 */
export function composed(library, job) {
  const bind = ({ policy, obs }) => {
    const { network, bounds } = library.policies[policy];
    return new Learned(network.bind(obs), bounds);
  };
  const { bounds } = library.policies[job.policy];
  let learned = bind(job), box = boxOf(bounds);
  const { proposal } = learned.bound, { init_std: std } = library.policies[job.policy].description;
  const around = proposal && std !== null ? { center: proposal, std } : null;
  if (job.second) {
    const options = { temperature: job.temperature, strength: STRENGTH, points: library.points.subarray(0, 2 * job.calibration) };
    ({ energy: learned, box } = combine(job.operation, [learned, bind(job.second)], options));
  }
  if (!job.disks.length) return { energy: learned, learned, box, bounds, around };
  const disks = job.disks.map(({ at, radius }) => new Term(new KeepOutDisk(at, radius, job.prediction)));
  return { energy: new AllOf([new Term(learned), ...disks]), learned, box, bounds, around };
}

/** Networks, bounds and calibration points from what Python wrote. */
export function makeLibrary({ policies, points }) {
  return {
    points: unpack(points),
    policies: policies.map((description) => ({
      description, bounds: description.bounds, network: new Network(description), scene: sceneOf(description),
    })),
  };
}

/** The actions of a map with `size` points along each side, row by row from the top, and the box it covers. */
export function grid(scene, box, size) {
  const corners = [scene.project(box.low), scene.project(box.high)];
  const [left, right] = [0, 1].map((i) => corners[i][0]).sort((a, b) => a - b);
  const [bottom, top] = [0, 1].map((i) => corners[i][1]).sort((a, b) => a - b);
  const actions = new Float64Array(2 * size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const across = left + ((right - left) * (column + 0.5)) / size;
      const up = top - ((top - bottom) * (row + 0.5)) / size;
      actions.set(scene.unproject([across, up]), 2 * (row * size + column));
    }
  }
  return { actions, plane: { left, right, bottom, top } };
}

/** Search, and draw a map of `job.map` points a side; either is left out where the job does not ask for it. */
export function answer(library, job) {
  const { energy, learned, box, bounds, around } = composed(library, job);
  const result = { id: job.id };
  if (job.search) {
    const space = new Space(energy, bounds, box);
    Object.assign(result, search(space, job.search, job.seed, job.hard, around));
    result.energy = energy.energy(Float64Array.from(result.action))[0];
  }
  if (job.map) {
    const { actions, plane } = grid(library.policies[job.policy].scene, box, job.map);
    result.map = { size: job.map, plane, values: Float32Array.from(energy.energy(actions)) };
    const shown = energy === learned ? result.map.values : Float32Array.from(learned.energy(actions));
    const allowed = energy.isConstrained ? energy.feasible(actions) : null;
    const isFree = allowed === null || !allowed.some(Boolean);
    result.map.low = shown.reduce((low, e, i) => (isFree || allowed[i] ? Math.min(low, e) : low), Infinity);
    result.map.high = shown.reduce((a, b) => Math.max(a, b), -Infinity);
    result.map.allowed = allowed;
  }
  if (job.probe) result.probe = Array.from(energy.energy(Float64Array.from(job.probe)));
  return result;
}

/** Answer the messages of the page; the first one holds the policies. */
export function serve(scope) {
  let library = null;
  scope.onmessage = ({ data }) => {
    if (library === null) library = makeLibrary(data);
    else scope.postMessage(answer(library, data));
  };
}
