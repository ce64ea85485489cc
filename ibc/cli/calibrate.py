"""Calibrate a detector of unusual decisions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibc.checkpoint import Checkpoint
from ibc.cli.act import load_for_command, num_execute_steps
from ibc.cli.config import Config, seeds_of
from ibc.cli.paths import check_outputs
from ibc.construct import call, construct, find
from ibc.data import Episode
from ibc.data.loading import find_data, load_episodes, transformed
from ibc.data.selection import Selection
from ibc.detection import Score
from ibc.detection import calibrate as make_detector
from ibc.detection.detector import check_settings
from ibc.device import configure_device
from ibc.errors import UserError
from ibc.evaluation.evaluate import env_config, evaluate
from ibc.evaluation.metrics import is_success
from ibc.policies import Policy

#: Keys of ``data`` that the command has as well.
_AS_IN_TRAINING = ("rename", "image_size", "crop", "cache", "frame_skip", "episode_length")


def calibrate(config: Config) -> None:
    """Write a detector to ``output``, and print its threshold.

    Raises:
        UserError: no episodes, too few for the rate, an unknown score, or one that the policy has no use for.
    """
    seeds = seeds_of(config)
    check_outputs(config, "output")
    device = configure_device(config["device"], config["precision"])
    scores = [_score(one) for one in config["scores"]]
    check_settings(scores, config["false_alarms"], config["window"])
    checkpoint, policy = load_for_command(config, device)
    steps = num_execute_steps(config, checkpoint)
    if config["data"]["path"] is None and checkpoint.config["env"].get("id") is None:
        raise UserError(
            "no environment is named; please give demonstrations by data.path=..., or env.id=..."
        )
    if config["data"]["path"] is not None:
        episodes = _demonstrations(config, checkpoint)
        print(f"{len(episodes)} demonstrations")
    else:
        episodes = _own_successes(config, checkpoint, policy, seeds, steps)
        print(f"{len(episodes)} successes of {len(seeds)} episodes")
    detector = make_detector(
        policy,
        episodes,
        scores=scores,
        false_alarms=config["false_alarms"],
        window=config["window"],
        num_execute_steps=steps,
    )
    detector.save(config["output"])
    print(
        f"threshold: {detector.threshold:.3f} standard deviations, from {len(detector.calibration)} episodes"
    )
    print(f"detector: {config['output']}")


def _score(described: Any) -> Score:
    """A score, from the name of its class in ``ibc.detection``, from a dotted one, or from a description.

    Raises:
        UserError: there is none.
    """
    if isinstance(described, Mapping):
        score = construct(described, "a score")
    else:
        name = str(described)
        score = call(find(name if "." in name else f"ibc.detection.{name}"), "a score")
    if not isinstance(score, Score):
        raise UserError(f"scores has {described}, which is a {type(score).__name__} and no score")
    return score


def _demonstrations(config: Config, checkpoint: Checkpoint) -> list[Episode]:
    """Read them as those of the training run were, but for what the command says."""
    data = config["data"]
    of_run = checkpoint.config.get("data", {})
    as_in_training = {name: of_run[name] for name in _AS_IN_TRAINING if name in of_run}
    given = {name: data[name] for name in _AS_IN_TRAINING if data[name] is not None}
    selection = Selection(obs_names=list(checkpoint.spec.obs), **as_in_training | given)
    episodes = load_episodes(find_data(Path(data["path"]), data["search"]), selection)
    return transformed(episodes[: config["num_episodes"]], selection)


def _own_successes(
    config: Config, checkpoint: Checkpoint, policy: Policy, seeds: range, steps: int | None
) -> list[Episode]:
    env = env_config(checkpoint.config["env"])
    result = evaluate(
        policy, env, seeds=seeds, num_envs=config["num_envs"], num_execute_steps=steps
    )
    return [episode for episode in result.episodes if is_success(episode, env.success_when)]
