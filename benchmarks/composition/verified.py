"""The best of N samples of other policies by an energy: whether more samples, and a judge, help."""

from typing import Any

from benchmarks.composition.episodes import Settings, load_trained, measure
from benchmarks.results import Row
from benchmarks.runs import run
from ibc.checkpoint import load_checkpoint
from ibc.policies import VerifiedPolicy
from ibc.policies.loading import build_policy
from ibc.training.run_folder import CHECKPOINT

#: Samples of a decision.
COUNTS = (1, 4, 16)
#: Policies that propose: as the experiment says otherwise.
PROPOSERS = ("mdn", "diffusion")


def verified(settings: Settings) -> list[Row]:
    """Sorting: samples of a mixture and of diffusion, judged by the published energy of the task."""
    energy, env = load_trained("block_sort_states", settings)
    rows = [of_returns("energy, its own search", energy, env, settings)]
    for name in PROPOSERS:
        run_dir, _ = run(["experiment=block_sort_states", f"policy={name}", "seed=0"])
        proposer = build_policy(load_checkpoint(run_dir / CHECKPOINT), settings.device)
        for count in COUNTS:
            policy = VerifiedPolicy(energy, proposer, num_samples=count)
            rows.append(of_returns(f"{name}, best of {count}", policy, env, settings))
    return rows


def of_returns(variant: str, policy: Any, env: dict[str, Any], settings: Settings) -> Row:
    """Metrics of a policy, with the mean return: of sorting, the sorted part of what was not sorted."""
    row, episodes = measure(variant, policy, env, settings.seeds)
    returns = [episode.episode_return for episode in episodes]
    return {**row, "sorted_fraction": sum(returns) / len(returns)}
