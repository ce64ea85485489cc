"""Types of the run-level keys in ``configs/*.yaml``; components are checked by their own constructors.

A value of the wrong type is then refused when the command starts. Defaults are in the YAML files, not here.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataSchema:
    """Where demonstrations are."""

    path: str
    num_episodes: int = 0
    obs_names: list[str] | None = None
    keep_best: float | None = None
    return_temperature: float | None = None
    episode_length: int | None = None
    frame_skip: int = 1
    search: list[str] = field(default_factory=list)


@dataclass
class TrainerSchema:
    """Length and pace of training."""

    batch_size: int
    num_steps: int
    warmup_steps: int
    keyframe_oversampling: int


@dataclass
class EvaluationSchema:
    """Held-out seeds, and how many environments at once."""

    num_episodes: int
    first_seed: int
    num_envs: int


@dataclass
class TrainSchema:
    """Keys of ``train.yaml``."""

    name: str
    task: str | None
    policy_name: str
    seed: int
    device: str
    precision: str
    resume: bool
    run_dir: str
    video: bool
    obs_horizon: int
    action_horizon: int
    data: DataSchema
    trainer: TrainerSchema
    evaluation: EvaluationSchema
    env: dict[str, Any]
    network: dict[str, Any]
    encoder: Any
    sampler: Any
    negatives: Any
    density: Any
    energy_loss: Any
    policy: Any
    loss: Any
    optimizer: Any
    logger: dict[str, Any]
    wandb: dict[str, Any]


@dataclass
class CollectSchema:
    """Keys of ``collect.yaml``."""

    data: DataSchema
    env: dict[str, Any]
    num_episodes: int
    first_seed: int
    num_envs: int


@dataclass
class EvaluateExpertSchema:
    """Keys of ``evaluate_expert.yaml``."""

    data: dict[str, Any]
    env: dict[str, Any]
    num_episodes: int
    first_seed: int
    num_envs: int
    output: str | None


@dataclass
class EvaluateSchema:
    """Keys of ``evaluate.yaml``."""

    checkpoint: str
    num_episodes: int
    first_seed: int
    num_envs: int
    output: str | None
    device: str
    precision: str
    env: dict[str, Any] = field(default_factory=dict)
    sampler: Any = None
    warm_start_fraction: float | None = None
    compose: Any = None


@dataclass
class RecordSchema:
    """Keys of ``record.yaml``."""

    checkpoint: str
    output: str
    seed: int
    num_episodes: int
    device: str
    precision: str
    env: dict[str, Any] = field(default_factory=dict)
    sampler: Any = None
    warm_start_fraction: float | None = None
    compose: Any = None


@dataclass
class BenchmarkSchema:
    """Keys of ``benchmark.yaml``."""

    repeats: int
    device: str
    precision: str
    plain: str
    rows: list[str] | None = None
    output: str | None = None


@dataclass
class StudySchema:
    """Keys of ``study.yaml``."""

    name: str
    policies: list[str]
    seeds: list[int]
    overrides: list[str]
    output: str
    pretrained: str | None
    tasks: dict[str, list[str]] = field(default_factory=dict)
    experiments: list[str] = field(default_factory=list)
    published: dict[str, dict[str, float]] = field(default_factory=dict)
    protocol_name: str | None = None


@dataclass
class MethodsSchema:
    """Keys of ``methods.yaml``."""

    seconds: int
    seeds: list[int]
    more_seeds: list[int]
    best: list[str]
    only_tasks: list[str] | None
    only_methods: list[str] | None
    overrides: list[str]
    run_dir: str
    output: str
    tasks: dict[str, list[str]]
    methods: dict[str, list[str]]


@dataclass
class FiguresSchema:
    """Keys of ``figures.yaml``."""

    only: list[str]
    steps: dict[str, int]
    counts: list[int]
    seed: int
    docs: str
    results: str


@dataclass
class ComposeStudySchema:
    """Keys of ``compose_study.yaml``."""

    num_episodes: int
    first_seed: int
    pretrained: str
    pictures: str
    output: str
    device: str
    precision: str
    cases: list[str] | None = None
