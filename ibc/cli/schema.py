"""Types of the run-level keys in ``configs/*.yaml``; components are checked by their own constructors.

A value of the wrong type is then refused when the command starts. Defaults are in the YAML files, not here.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataSchema:
    """Where demonstrations are, and which of them are used."""

    path: str
    num_episodes: int | None = None
    obs_names: list[str] | None = None
    rename: Any = None
    image_size: Any = None
    crop: Any = None
    cache: str = "data/.frames"
    keep_best: float | None = None
    return_temperature: float | None = None
    episode_length: int | None = None
    frame_skip: int = 1
    holdout: float | None = None
    action_limits: Any = None
    search: list[str] = field(default_factory=list)


@dataclass
class NetworkSchema:
    """The residual MLP of every policy."""

    width: int
    num_blocks: int


@dataclass
class TrainerSchema:
    """Length and pace of training."""

    batch_size: int
    num_steps: int
    warmup_steps: int
    schedule: str
    keyframe_oversampling: int
    ema_decay: float
    accumulate: int


@dataclass
class ValidationSchema:
    """Measures while training."""

    every: int
    measure: str | None
    patience: int | None
    closed_loop: int


@dataclass
class EvaluationSchema:
    """Episodes, their seeds, and how many environments at once, in how many processes."""

    num_episodes: int
    first_seed: int
    num_envs: int
    processes: int


@dataclass
class TrainedEvaluationSchema(EvaluationSchema):
    """How a trained policy is evaluated."""

    exact: bool


@dataclass
class TrainSchema:
    """Keys of ``train.yaml``."""

    name: str
    task: str | None
    policy_name: str
    seed: int
    device: str
    precision: str
    trust: list[str]
    resume: bool
    init_from: str | None
    run_dir: str
    video: bool
    obs_horizon: int
    action_horizon: int
    num_execute_steps: int | None
    data: DataSchema
    network: NetworkSchema
    trainer: TrainerSchema
    validation: ValidationSchema
    evaluation: TrainedEvaluationSchema
    env: dict[str, Any]
    encoder: Any
    sequence: Any
    policy: Any
    loss: Any
    optimizer: Any
    logger: str
    wandb: dict[str, Any]
    d4rl_name: str | None = None


@dataclass
class CollectSchema(EvaluationSchema):
    """Keys of ``collect.yaml``."""

    data: DataSchema
    env: dict[str, Any]


@dataclass
class EvaluateExpertSchema(EvaluationSchema):
    """Keys of ``evaluate_expert.yaml``."""

    data: dict[str, Any]
    env: dict[str, Any]
    output: str | None
    film: str | None


@dataclass
class PolicySchema:
    """Keys that commands on a checkpoint share."""

    checkpoint: str
    num_execute_steps: int | None
    trust: list[str]
    policy: Any = None
    env: dict[str, Any] = field(default_factory=dict)
    data: Any = None  # of env=..., without effect
    compose: Any = None


@dataclass
class ActSchema(PolicySchema):
    """Keys of commands that run episodes."""

    device: str = ""
    precision: str = ""
    num_episodes: int = 0


@dataclass
class ExportSchema(PolicySchema):
    """Keys of ``export.yaml``."""

    output: str = "???"
    format: str = ""
    license: str | None = None


@dataclass
class ServeSchema(PolicySchema):
    """Keys of ``serve.yaml``."""

    device: str = ""
    precision: str = ""
    host: str = ""
    port: int = 0
    token: str | None = None
    detector: str | None = None
    on_doubt: str | None = None


@dataclass
class EvaluateSchema(ActSchema):
    """Keys of ``evaluate.yaml``."""

    first_seed: int = 0
    num_envs: int = 1
    processes: int = 1
    exact: bool = False
    output: str | None = None


@dataclass
class RecordSchema(ActSchema):
    """Keys of ``record.yaml``."""

    output: str = "???"
    seed: int = 0


@dataclass
class BudgetSchema(ActSchema):
    """Keys of ``budget.yaml``."""

    ms: float = 0.0
    first_seed: int = 0
    num_envs: int = 1
    image: str | None = None
    output: str | None = None


@dataclass
class CalibrateSchema(ActSchema):
    """Keys of ``calibrate.yaml``."""

    output: str = "???"
    scores: list[Any] = field(default_factory=list)
    false_alarms: float = 0.0
    window: int = 1
    first_seed: int = 0
    num_envs: int = 1


@dataclass
class CompareSchema:
    """Keys of ``compare.yaml``."""

    first: Any
    second: Any
    measure: str
    margin: float
    early_stop: bool
    num_episodes: int
    first_seed: int
    num_envs: int
    device: str
    precision: str
    trust: list[str]
    output: str | None


@dataclass
class ReportSchema:
    """Keys of ``report.yaml``."""

    runs: Any
    output: str


@dataclass
class PageSchema:
    """Keys of ``page.yaml``."""

    checkpoint: Any
    output: str
    trust: list[str]


@dataclass
class ConvertSchema:
    """Keys of ``convert.yaml``."""

    source: Any
    output: str
    obs_names: list[str] | None
    rename: Any
    image_size: Any
    crop: Any
    episode_length: int | None


SCHEMAS = {
    "train": TrainSchema,
    "collect": CollectSchema,
    "convert": ConvertSchema,
    "evaluate_expert": EvaluateExpertSchema,
    "evaluate": EvaluateSchema,
    "record": RecordSchema,
    "compare": CompareSchema,
    "budget": BudgetSchema,
    "calibrate": CalibrateSchema,
    "serve": ServeSchema,
    "export": ExportSchema,
    "page": PageSchema,
    "report": ReportSchema,
}
