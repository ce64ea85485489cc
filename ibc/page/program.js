// A scene as a Python program, which composes and searches the same energy with the library.

import { STRENGTH } from "./worker.js";

const number = (x) => String(Number(x.toPrecision(9)));
const list = (values) => `[${Array.from(values, (v) => (v.length === undefined ? number(v) : list(v))).join(", ")}]`;
const tensors = (obs) => Object.entries(obs)
  .map(([name, frames]) => `    ${JSON.stringify(name)}: torch.tensor([${list(frames)}]),`).join("\n");

const MOVED = `

class Elsewhere(Energy):
    """An energy that is given other observations than the policy."""

    def __init__(self, energy, obs):
        super().__init__()
        self.energy, self.obs = energy, obs

    def limits(self):
        return self.energy.limits()

    def bind(self, obs):
        return self.energy.bind({**obs, **self.obs})


`;

const FORMULAS = {
  and: () => "AllOf(policy.energy, other, weights=[0.5, 0.5])",
  or: (t) => `AllOf(AnyOf(policy.energy, other, temperatures=[${t}, ${t}]), weights=[${t}])`,
  not: (t) => `AllOf(policy.energy, Not(AllOf(other, weights=[1 / ${t}]), strength=${STRENGTH}), weights=[1.0, ${t}])`,
};

/**
 * Write the program.
 *
 * @param job as the worker takes it; names: paths of the checkpoints; scene: names the model of a constraint.
 * @param probe actions (x, y, x, y, ...), and expected: their energies on this page.
 */
export function program(job, paths, scene, probe, expected) {
  const { second, operation, disks } = job;
  const own = job.second?.policy !== job.policy;
  const classes = [
    ...(second || disks.length ? ["AllOf"] : []),
    ...(operation === "or" ? ["AnyOf"] : []), ...(operation === "not" ? ["Not"] : []),
  ];
  const model = disks.length ? scene.model.split("(")[0] : null;
  const imports = [
    "import torch", "", "import ibc",
    ...(classes.length ? [`from ibc.composition import ${classes.join(", ")}`] : []),
    ...(model ? [`from ibc.constraints import KeepOutDisk, ${model}`] : []),
    ...(second && !own ? ["from ibc.energies import Energy"] : []),
    "from ibc.policies import ComposedPolicy", "from ibc.random import BatchRandom",
  ];
  const lines = [`policy = ibc.load_policy(${JSON.stringify(paths[job.policy])}, device="cpu")`];
  lines.push(`obs = {  # {name: (1, To, D)}, environment units\n${tensors(job.obs)}\n}`);
  if (second && own) lines.push(`other = ibc.load_policy(${JSON.stringify(paths[second.policy])}, device="cpu").energy`);
  if (second && !own) {
    const changed = Object.entries(second.obs).filter(([name, frames]) => list(frames) !== list(job.obs[name]));
    lines.push(`other = Elsewhere(policy.energy, {\n${tensors(Object.fromEntries(changed))}\n})`);
  }
  lines.push(`energy = ${second ? FORMULAS[operation](number(job.temperature)) : "policy.energy"}`);
  if (disks.length) {
    lines.push(`model = ${scene.model}`);
    const terms = disks.map(({ at, radius }) => `KeepOutDisk(${list(at)}, ${number(radius)}, model=model)`);
    lines.push(`energy = AllOf(energy, ${terms.join(", ")})`);
  }
  const pairs = Array.from({ length: probe.length / 2 }, (_, i) => [probe[2 * i], probe[2 * i + 1]]);
  lines.push(
    `actions = torch.tensor([${list(pairs)}])  # (1, N, 2)`,
    `on_the_page = torch.tensor([${list(expected)}])`,
    "with torch.no_grad():",
    "    energies = energy.bind(obs)(actions)",
    'print("energies", energies.tolist())',
    'print("largest difference from the page", float((energies - on_the_page).abs().max()))',
    `chosen = ComposedPolicy(policy, energy${disks.length && job.hard ? ", hard=True" : ""})`,
    'print("action", chosen.act(obs, BatchRandom(torch.Generator().manual_seed(0))).tolist())',
  );
  return `${imports.join("\n")}\n${second && !own ? MOVED : "\n"}${lines.join("\n")}\n`;
}
