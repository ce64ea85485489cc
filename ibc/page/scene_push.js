// The tasks of a rod that pushes blocks on a table, seen from above: x points down, y to the right (envs/block_push).
// Blocks move by a simplified law: quasi-static, one contact, friction of the table as an ellipsoid. It is an
// illustration, and not the MuJoCo simulation in which these policies are trained and evaluated.

import { Random } from "./search.js";

const BLOCK = 0.04, ROD = 0.005, ZONE = 0.12, LARGEST = 0.1;
const WORKSPACE = { low: [0.19, -0.5], high: [0.7, 0.5] }, REACH = 0.69;
const FRICTION = 1.0;
/** Ratio of the greatest torque to the greatest force of the table's friction on a box that stands on its corners (m). */
const TURNING = BLOCK / Math.SQRT2;
/** Distance from its target at which the page stops (m). */
const SOLVED = 0.01;
/** Longest way of the rod between two looks at its contacts (m). */
const LEG = 0.001;
/** Tasks that this scene shows, with the decisions of an episode. */
const TASKS = { "BlockPush-v0": 100, "BlockPushMultimodal-v0": 200 };
const FRAMES = 10;

const clip = (x, low, high) => Math.min(Math.max(x, low), high);
const rotate = ([x, y], yaw) => [x * Math.cos(yaw) - y * Math.sin(yaw), x * Math.sin(yaw) + y * Math.cos(yaw)];
const numbered = (name, i) => (i === 0 ? name : `${name}${i + 1}`);
const count = (policy, name) => [0, 1].filter((i) => `${numbered(name, i)}_translation` in policy.obs).length;

/** The greatest distance of a block from a target of its own, in the better of the pairings (m). */
function farthest({ blocks }, goals) {
  const distance = (block, { at }) => Math.hypot(at[0] - block.at[0], at[1] - block.at[1]);
  const pairings = goals.length > 1 ? [goals, [...goals].reverse()] : [goals];
  return Math.min(...pairings.map((pairing) => Math.max(...blocks.map((block, i) => distance(block, pairing[i])))));
}

function intoWorkspace(point) {
  const inside = point.map((p, d) => clip(p, WORKSPACE.low[d], WORKSPACE.high[d]));
  const shrink = Math.min(1, REACH / Math.hypot(...inside));
  return inside.map((p) => p * shrink);
}

/** Where a rod at `tip` is in a block: depth, inward normal and contact from its center; null where it is not. */
function contact(block, tip) {
  const half = BLOCK / 2;
  const local = rotate([tip[0] - block.at[0], tip[1] - block.at[1]], -block.yaw);
  const nearest = local.map((p) => clip(p, -half, half));
  const away = [local[0] - nearest[0], local[1] - nearest[1]];
  const distance = Math.hypot(...away);
  let normal, depth, at = nearest;
  if (distance > 1e-9) {
    depth = ROD - distance;
    normal = away.map((a) => -a / distance);
  } else {
    const axis = Math.abs(local[0]) > Math.abs(local[1]) ? 0 : 1;
    const side = Math.sign(local[axis]) || 1;
    depth = ROD + half - Math.abs(local[axis]);
    normal = axis === 0 ? [-side, 0] : [0, -side];
    at = axis === 0 ? [side * half, local[1]] : [local[0], side * half];
  }
  return depth > 0 ? { depth, normal: rotate(normal, block.yaw), arm: rotate(at, block.yaw) } : null;
}

/** The block after the rod has moved by `leg` into it: the contact sticks, or slides at the edge of the friction cone. */
export function pushed(block, tip, leg) {
  const touch = contact(block, tip);
  if (!touch) return block;
  const { depth, normal, arm } = touch;
  const tangent = [-normal[1], normal[0]];
  const c = TURNING ** 2;
  // A force f at the contact moves the block by f and turns it by (arm x f) / c^2, so the contact moves by A f.
  const cross = (f) => arm[0] * f[1] - arm[1] * f[0];
  const moves = (f, g) => f[0] * g[0] + f[1] * g[1] + (cross(f) * cross(g)) / c;
  const along = leg[0] * tangent[0] + leg[1] * tangent[1];
  const [nn, nt, tt] = [moves(normal, normal), moves(normal, tangent), moves(tangent, tangent)];
  const determinant = nn * tt - nt * nt;
  let fn = (depth * tt - along * nt) / determinant, ft = (along * nn - depth * nt) / determinant;
  if (fn <= 0 || Math.abs(ft) > FRICTION * fn) {
    const edge = Math.sign(ft) * FRICTION;
    fn = depth / (nn + edge * nt);
    if (!(fn > 0)) fn = depth / nn;
    ft = edge * fn;
  }
  const force = [0, 1].map((d) => fn * normal[d] + ft * tangent[d]);
  return { at: block.at.map((p, d) => p + force[d]), yaw: block.yaw + cross(force) / c };
}

export const pushScene = {
  world: { left: -0.53, right: 0.53, bottom: -0.74, top: -0.14 },
  axes: [{ name: "change of y (m)", sign: 1 }, { name: "change of x (m)", sign: -1 }],
  horizon: ({ env: { id, options } }) => options.max_episode_steps ?? TASKS[id],
  period: "0.1 s",
  obstacle: { radius: 0.05, largest: 0.12 },
  model: "DeltaPositionControl('effector_target_translation')",
  note: "Seen from above. Blocks move by a simplified quasi-static law for illustration, not by the MuJoCo simulation.",

  shows: (policy) => policy.env.id in TASKS && count(policy, "block") === count(policy, "target")
    && Object.keys(policy.obs).every((name) => name in pushScene.observe(nominal(policy), nominal(policy).goals)),

  project: ([x, y]) => [y, -x],
  unproject: ([right, up]) => [-up, right],

  start(seed, policy) {
    const rng = new Random(seed);
    const around = (x, y) => [x + 0.1 * (2 * rng.uniform() - 1), y + 0.15 * (2 * rng.uniform() - 1)];
    const draw = (make, number, distance) => {
      const drawn = Array.from({ length: number }, make);
      const isApart = number < 2 || Math.abs(drawn[0].at[0] - drawn[1].at[0]) >= distance;
      return isApart ? drawn : draw(make, number, distance); // all anew: some first ones leave no place for a second
    };
    const block = () => ({ at: around(0.4, -0.2), yaw: Math.PI * (2 * rng.uniform() - 1) });
    const target = () => ({ at: around(0.4, 0.2), yaw: (Math.PI / 6) * (2 * rng.uniform() - 1) });
    const blocks = draw(block, count(policy, "block"), 0.1);
    const goals = draw(target, count(policy, "target"), 0.12);
    const moved = goals.map(({ at, yaw }) => ({ at: [clip(0.8 - at[0], 0.25, 0.55), at[1]], yaw }));
    return { body: { tip: [0.3, -0.4], blocks }, goals, moved, obstacles: [] };
  },

  observe(body, goals) {
    const out = { effector_translation: body.tip, effector_target_translation: body.tip };
    const angles = (yaw) => [Math.cos(4 * yaw), Math.sin(4 * yaw)];
    for (const [name, list] of [["block", body.blocks], ["target", goals]]) {
      list.forEach(({ at, yaw }, i) => {
        out[`${numbered(name, i)}_translation`] = at;
        out[`${numbered(name, i)}_orientation`] = angles(yaw);
      });
    }
    const difference = (a, b) => a.map((x, d) => x - b[d]);
    body.blocks.forEach((block, i) => {
      out[numbered("effector_target_to_block", i)] = difference(block.at, body.tip);
      goals.forEach((goal, j) => {
        out[`${numbered("block", i)}_to_${numbered("target", j)}`] = difference(goal.at, block.at);
      });
    });
    return out;
  },

  before: (body) => body,

  step(body, action) {
    const delta = action.map((a) => clip(a, -LARGEST, LARGEST));
    const end = intoWorkspace(body.tip.map((p, d) => p + delta[d]));
    const way = end.map((p, d) => p - body.tip[d]);
    const legs = FRAMES * Math.max(1, Math.ceil(Math.hypot(...way) / LEG / FRAMES));
    const leg = way.map((w) => w / legs);
    const frames = [];
    let { tip, blocks } = body;
    for (let i = 1; i <= legs; i++) {
      tip = tip.map((p, d) => p + leg[d]);
      blocks = blocks.map((block) => pushed(block, tip, leg));
      if (i % (legs / FRAMES) === 0) frames.push({ tip, blocks });
    }
    return frames;
  },

  isSolved: (body, goals) => farthest(body, goals) < SOLVED,
  status: (body, goals) => `${body.blocks.length > 1 ? "farthest block" : "block"} ${(100 * farthest(body, goals)).toFixed(1)} cm from its target`,

  predict: (body) => ({ offset: body.tip, gain: [1] }),
  place: (body) => body.tip,
  target: (body, action) => body.tip.map((p, d) => p + action[d]),

  handles({ body, goals, moved }, showsMoved) {
    const zones = (list, label, mark) => list.map((goal, i) => ({
      key: `${mark}${i}`, label: `${label} ${i + 1}`, at: goal.at, set: (at) => { goal.at = at; },
    }));
    const blocks = body.blocks.flatMap((block, i) => [
      { key: `block${i}`, label: `block ${i + 1}`, at: block.at, set: (at) => { block.at = at; } },
      {
        key: `yaw${i}`, label: `orientation of block ${i + 1}`, small: true,
        at: block.at.map((p, d) => p + rotate([0.045, 0], block.yaw)[d]),
        set: (at) => { block.yaw = Math.atan2(at[1] - block.at[1], at[0] - block.at[0]); },
      },
    ]);
    const tip = { key: "tip", label: "tip of the rod", at: body.tip, set: (at) => { body.tip = intoWorkspace(at); } };
    return [
      ...zones(goals, "target", "goal"), ...(showsMoved ? zones(moved, "target of the second energy", "moved") : []),
      ...blocks, tip,
    ];
  },

  draw(pen, { body, goals, moved }, { showsMoved, colors }) {
    pen.box(WORKSPACE.low, WORKSPACE.high, { stroke: colors.line });
    const zone = ({ at, yaw }, i, dashed) => {
      const color = [colors.first, colors.second][i];
      pen.square(at, ZONE, yaw, { stroke: color, fill: dashed ? null : `${color}22`, width: 2, dash: dashed ? [4, 4] : [] });
      pen.text(at, `${dashed ? "target′" : "target"}${goals.length > 1 ? ` ${i + 1}` : ""}`, { color, size: 11 });
    };
    if (showsMoved) moved.forEach((goal, i) => zone(goal, i, true));
    goals.forEach((goal, i) => zone(goal, i, false));
    for (const block of body.blocks) {
      const mark = block.at.map((p, d) => p + rotate([0.045, 0], block.yaw)[d]);
      pen.line([block.at, mark], { color: colors.block, width: 1.5 });
      pen.dot(mark, 3.5, { fill: colors.block });
      pen.square(block.at, BLOCK, block.yaw, { fill: colors.block, stroke: colors.paper, width: 1.5 });
    }
    pen.circle(body.tip, ROD, { fill: colors.robot });
    pen.dot(body.tip, 6.5, { fill: colors.robot, stroke: colors.paper });
  },
};

function nominal(policy) {
  const pose = () => ({ at: [0.4, 0], yaw: 0 });
  const some = (name) => Array.from({ length: count(policy, name) }, pose);
  return { tip: [0.3, -0.4], blocks: some("block"), goals: some("target") };
}
