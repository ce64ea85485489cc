"""Choose the search of a checkpoint for a given time of a decision."""

from __future__ import annotations

import sys
from pathlib import Path

from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config, seeds_of
from ibc.cli.paths import check_outputs
from ibc.device import configure_device, provenance
from ibc.errors import UserError
from ibc.evaluation.budget import budget as measure_budget
from ibc.evaluation.budget import choose, figure_of
from ibc.evaluation.evaluate import env_config, write_output
from ibc.evaluation.plots import png
from ibc.files import write_atomically
from ibc.policies import ImplicitPolicy


def budget(config: Config) -> None:
    """Print a row for each search and the overrides of the chosen one; write ``output`` and ``image``.

    Raises:
        UserError: the policy has no energy, or no search is fast enough.
    """
    seeds = seeds_of(config)
    check_outputs(config, "output", "image")
    if config["ms"] <= 0:
        raise UserError(f"ms={config['ms']}; it must be above 0")
    device = configure_device(config["device"], config["precision"])
    checkpoint, policy = load_for_command({**config, "compose": None}, device)
    if not isinstance(policy, ImplicitPolicy):
        raise UserError(f"a {type(policy).__name__} has no search to choose")
    rows = measure_budget(
        policy,
        env_config(checkpoint.config["env"]),
        milliseconds=config["ms"],
        seeds=seeds,
        num_envs=config["num_envs"],
        num_execute_steps=num_execute_steps(config, checkpoint),
    )
    print("candidates  iterations      ms  action error  success")
    for row in rows:
        success = "too slow" if row.success_rate is None else f"{row.success_rate:.1%}"
        extra = "".join(f"  {name} {value:.3f}" for name, value in (row.report or {}).items())
        print(
            f"{row.num_candidates:10}  {row.num_iterations:10}  {row.latency_ms:6.1f}  "
            f"{row.action_error:12.4f}  {success:>7}{extra}"
        )
    content = {
        "checkpoint": str(config["checkpoint"]),
        "ms": config["ms"],
        "first_seed": config["first_seed"],
        "num_episodes": config["num_episodes"],
        "rows": [row.as_dict() for row in rows],
        "chosen": None,
        "about": provenance(),
    }
    try:
        chosen = choose(rows, config["ms"])
    except UserError:  # what was measured is kept
        write_output(config["output"], content)
        raise
    overrides = " ".join(
        [
            *(text for text in sys.argv[1:] if text.startswith("sampler=")),
            *(f"policy.sampler.{key}={value}" for key, value in chosen.overrides.items()),
        ]
    )
    print(f"chosen for {config['ms']:g} ms: {overrides}")
    if config["image"] is not None:
        image = png(figure_of(rows, chosen, config["ms"]))
        write_atomically(Path(config["image"]).expanduser(), image)
        print(f"image: {config['image']}")
    write_output(config["output"], {**content, "chosen": chosen.as_dict()})
