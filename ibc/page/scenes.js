// Which scene a policy is shown in.

import { sliderScene } from "./scene_any.js";
import { particleScene } from "./scene_particle.js";
import { pushScene } from "./scene_push.js";

/** The scene of a policy's environment, where there is one, and sliders otherwise. */
export function sceneOf(policy) {
  return [particleScene, pushScene].find((scene) => scene.shows(policy)) ?? sliderScene(policy);
}

/** What a policy sees, `{name: [frames]}`: the last states of a course, the first of which stands for missing ones. */
export function windowOf(scene, policy, bodies, goals) {
  const last = bodies.slice(-policy.obs_horizon);
  while (last.length < policy.obs_horizon) last.unshift(last[0]);
  const frames = last.map((body) => scene.observe(body, goals));
  return Object.fromEntries(Object.keys(policy.obs).map((name) => [name, frames.map((frame) => Array.from(frame[name]))]));
}

/** The states before one that was placed by hand, oldest first, and itself. */
export function courseTo(scene, policy, body) {
  return Array.from({ length: policy.obs_horizon }, (_, i) => scene.before(body, policy.obs_horizon - 1 - i));
}
