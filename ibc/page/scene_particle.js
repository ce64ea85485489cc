// Particle-v0 in two dimensions: a point mass that visits one goal and then the other (constants of envs/particle).

import { Random } from "./search.js";

const STIFFNESS = 10, DAMPING = 5, DT = 0.005, SUBSTEPS = 10;
const GOAL_DISTANCE = 0.05, HORIZON = 50;
/** Actions over which stopping takes time: the look-ahead of configs/compose/avoid_disk.yaml. */
const LOOKAHEAD = 20;
/** How far the goals of a second energy are from those of the first at least, to begin with. */
const APART = 0.45;
/** Where the handle of the velocity is drawn: this far from the particle at rest, and further by seconds times speed. */
const STUB = 0.075, SECONDS = 0.15;

/** Explicit Euler; the position moves by the old velocity in each substep. Returns the state after each substep. */
export function particleStep({ position, velocity }, setpoint) {
  const states = [];
  for (let i = 0; i < SUBSTEPS; i++) {
    const force = position.map((p, d) => STIFFNESS * (setpoint[d] - p) - DAMPING * velocity[d]);
    position = position.map((p, d) => p + DT * velocity[d]);
    velocity = velocity.map((v, d) => v + DT * force[d]);
    states.push({ position, velocity });
  }
  return states;
}

const near = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) < GOAL_DISTANCE;

export const particleScene = {
  world: { left: -0.07, right: 1.07, bottom: -0.07, top: 1.07 },
  axes: [{ name: "set-point x", sign: 1 }, { name: "set-point y", sign: 1 }],
  horizon: ({ env: { options } }) => Math.min(options.horizon ?? HORIZON, options.max_episode_steps ?? Infinity),
  period: "50 ms",
  obstacle: { radius: 0.1, largest: 0.25 },
  model: "PDController('pos_agent', 'vel_agent', stiffness=10, damping=5, substep=0.005, substeps=10, lookahead=20)",
  note: "The particle follows the set-point as in the environment of its training, Particle-v0.",

  shows: (policy) => policy.env.id === "Particle-v0" && !policy.env.options.reverse
    && Object.entries(policy.obs).every(([name, size]) =>
      (["pos_agent", "vel_agent", "pos_first_goal", "pos_second_goal"].includes(name) ? size === 2 : name === "reached_first")),

  project: (point) => point,
  unproject: (point) => point,

  start(seed) {
    const rng = new Random(seed);
    const point = (low, high) => [0, 1].map(() => low + (high - low) * rng.uniform());
    const goals = [point(0.15, 0.85), point(0.15, 0.85)].map((at) => ({ at }));
    const elsewhere = ({ at }) => {
      let other = point(0.1, 0.9);
      while (Math.hypot(other[0] - at[0], other[1] - at[1]) < APART) other = point(0.1, 0.9);
      return { at: other };
    };
    return {
      body: { position: point(0.1, 0.9), velocity: [0, 0], reached: [false, false] },
      goals,
      moved: goals.map(elsewhere),
      obstacles: [],
    };
  },

  observe: (body, goals) => ({
    pos_agent: body.position,
    vel_agent: body.velocity,
    pos_first_goal: goals[0].at,
    pos_second_goal: goals[1].at,
    reached_first: [body.reached[0] ? 1 : 0],
  }),

  /** What came before a state that was placed by hand: a straight path at its velocity. */
  before: (body, steps) => ({
    ...body,
    position: body.position.map((p, d) => p - steps * SUBSTEPS * DT * body.velocity[d]),
  }),

  step(body, action, goals) {
    const setpoint = action.map((a) => Math.min(Math.max(a, 0), 1));
    const states = particleStep(body, setpoint);
    const { position } = states.at(-1);
    const first = body.reached[0] || near(position, goals[0].at);
    const second = body.reached[1] || (first && near(position, goals[1].at));
    return states.map((state) => ({ ...state, reached: [first, second] }));
  },

  isSolved: (body) => body.reached[1],

  status(body, goals) {
    if (body.reached[1]) return near(body.position, goals[1].at) ? "both goals reached" : "past the second goal";
    return body.reached[0] ? "first goal reached" : "on the way to the first goal";
  },

  /** Positions after 1 to 20 actions as a linear function of the action, which is held. */
  predict(body) {
    const roll = (state, setpoint) => {
      const positions = [];
      for (let k = 0; k < LOOKAHEAD; k++) {
        state = particleStep(state, setpoint).at(-1);
        positions.push(...state.position);
      }
      return positions;
    };
    const response = roll({ position: [0, 0], velocity: [0, 0] }, [1, 1]);
    return { offset: roll(body, [0, 0]), gain: response.filter((_, i) => i % 2 === 0) };
  },

  place: (body) => body.position,
  target: (body, action) => action,

  handles({ body, goals, moved }, showsMoved) {
    const speed = Math.hypot(...body.velocity);
    const way = speed > 1e-9 ? body.velocity.map((v) => v / speed) : [1, 0];
    const goalHandles = (list, label, mark) => list.map((goal, i) => ({
      key: `${mark}${i}`, label: `${label} ${i + 1}`, at: goal.at, set: (at) => { goal.at = at; },
    }));
    return [
      ...goalHandles(goals, "goal", "goal"),
      ...(showsMoved ? goalHandles(moved, "goal of the second energy", "moved") : []),
      {
        key: "velocity", label: "velocity", small: true,
        at: body.position.map((p, d) => p + way[d] * (STUB + SECONDS * speed)),
        set: (at) => {
          const arrow = at.map((x, d) => x - body.position[d]);
          const length = Math.max(Math.hypot(...arrow), 1e-9);
          const chosen = Math.min(Math.max(length - STUB, 0) / SECONDS, 1.5);
          body.velocity = arrow.map((a) => (chosen < 0.05 ? 0 : (a / length) * chosen));
        },
      },
      { key: "agent", label: "particle", at: body.position, set: (at) => { body.position = at; } },
    ];
  },

  draw(pen, { body, goals, moved }, { showsMoved, colors }) {
    pen.box([0, 0], [1, 1], { stroke: colors.line });
    const ring = (goal, i, dashed) => {
      const color = [colors.first, colors.second][i];
      pen.circle(goal.at, GOAL_DISTANCE, { stroke: color, fill: dashed ? null : `${color}22`, width: 2.2, dash: dashed ? [4, 4] : [] });
      pen.text(goal.at, `${i + 1}${dashed ? "′" : ""}`, { color, weight: 600 });
    };
    if (showsMoved) moved.forEach((goal, i) => ring(goal, i, true));
    goals.forEach((goal, i) => ring(goal, i, false));
    const velocity = this.handles({ body, goals, moved }, false).find(({ key }) => key === "velocity");
    pen.arrow(body.position, velocity.at, { color: colors.robot, width: 2 });
    pen.dot(body.position, 8, { fill: colors.robot, stroke: colors.paper });
  },
};
