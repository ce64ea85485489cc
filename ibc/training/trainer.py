"""Gradient steps: an optimizer, a schedule, and everything needed to stop and go on exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ibc.construct import call
from ibc.data.dataset import ShuffledIndices, WindowDataset
from ibc.data.prefetch import Prefetcher
from ibc.distributed import average
from ibc.errors import UserError
from ibc.losses import Loss
from ibc.losses.base import Metrics
from ibc.policies import Policy
from ibc.progress import Progress
from ibc.spec import Batch
from ibc.threads import limit_threads
from ibc.training.default_loss import default_loss
from ibc.training.gradient import Gradient
from ibc.training.moving_average import MovingAverage
from ibc.training.parameter_groups import parameter_groups
from ibc.training.recorded_step import RecordedStep, with_flags_of
from ibc.training.schedule import Schedule
from ibc.training.share import Share
from ibc.training.validation import held_out_measures

#: Gradients are scaled down to this norm: one unlucky batch must not undo a thousand good ones.
MAX_GRADIENT_NORM = 10.0
#: Gradient steps between metrics that are read from the device.
LOG_EVERY = 20


class Trainer:
    """Takes a policy through ``num_steps`` gradient steps on a data set.

    Its state is a pure function of the seed and the step: examples are drawn by step number, and the states of all
    random generators are saved, so an interrupted run ends with the same weights as one that was not interrupted.

    Of several processes that torchrun has started, each takes its share of every batch (:class:`Share`). A process by
    itself records whole steps on a GPU as a CUDA graph and replays them, where the data is on the device and the
    optimizer is one of torch's fused ones (:class:`RecordedStep`).

    Args:
        policy: untrained. Its normalizers and bounds are set from the data here.
        dataset: the examples.
        held_out: examples that are not shown, for :meth:`held_out_measures`.
        loss: the objective; :func:`ibc.training.default_loss.default_loss` if None.
        optimizer: called with the parameters; Adam at a learning rate of 2e-3 if None.
        batch_size, num_steps: of the run.
        warmup_steps: in which the learning rate rises.
        schedule: of the learning rate afterwards, :data:`ibc.training.schedule.SCHEDULES`.
        keyframe_oversampling: times more often that steps at which the action jumps are shown.
        ema_decay: of the moving average of the weights (:class:`ibc.training.moving_average.MovingAverage`), which the
            policy that is saved and acts has; 0 keeps the last weights.
        accumulate: parts into which a batch is cut to save memory; their gradients are added up.
        seed: of data order and noise.

    Attributes:
        step: gradient steps taken.
        seconds: that they took.
        best: what is known of the best held-out measures (:class:`ibc.training.validation.Best`), saved with the rest.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        policy: Policy,
        dataset: WindowDataset,
        *,
        loss: Loss | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        batch_size: int = 512,
        num_steps: int = 6000,
        warmup_steps: int = 300,
        schedule: str = "cosine",
        keyframe_oversampling: int = 10,
        ema_decay: float = 0.0,
        accumulate: int = 1,
        seed: int = 0,
        held_out: WindowDataset | None = None,
    ) -> None:
        if not 0 <= ema_decay < 1:
            raise UserError(f"trainer.ema_decay={ema_decay}; allowed: 0 to below 1")
        dataset.check_fits(policy.spec)
        self.policy = policy
        self.policy.fit(dataset)
        self.loss = default_loss(policy) if loss is None else loss
        self.dataset, self.held_out = dataset, held_out
        self.num_steps = num_steps
        self.accumulate = accumulate
        self.schedule = Schedule(schedule, warmup_steps, num_steps)
        self.make_optimizer = partial(torch.optim.Adam, lr=2e-3) if optimizer is None else optimizer
        self.optimizer: torch.optim.Optimizer = call(
            self.make_optimizer, "optimizer", parameter_groups(policy)
        )
        self.base_lr = [group["lr"] * group["lr_scale"] for group in self.optimizer.param_groups]
        self.device = next(policy.parameters()).device
        self.indices = ShuffledIndices(
            len(dataset),
            batch_size,
            seed,
            oversample=dataset.keyframes(),
            repeats=keyframe_oversampling,
            device=self.device,
        )
        self.share = Share(batch_size, accumulate, seed)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.average = MovingAverage(policy, ema_decay) if ema_decay else None
        self.gradient = Gradient(policy)
        self.step, self.seconds = 0, 0.0
        self.best: dict[str, Any] | None = None
        self._batches = Prefetcher(dataset, self.share.rows(self.indices))
        self._index = torch.zeros(batch_size, dtype=torch.int64, device=self.device)
        self._diverged = torch.zeros((), device=self.device)
        self.recorded: RecordedStep | None = None
        is_fused = all("fused" in group for group in self.optimizer.param_groups)
        is_on_gpu = self.device.type == "cuda" and dataset.is_on_device
        if is_on_gpu and is_fused and self.share.count == 1:
            self.record(RecordedStep(self._take_recorded_step, [self.generator]))

    def record(self, step: RecordedStep) -> None:
        """Replay steps from now on; the learning rate becomes a number in the device's memory."""
        self.recorded = step
        for group in self.optimizer.param_groups:
            group.update(fused=True, foreach=False, lr=torch.tensor(0.0, device=self.device))
            if "capturable" in group:
                group["capturable"] = self.device.type == "cuda"
        self.optimizer.found_inf = self._diverged  # type: ignore[attr-defined]

    @property
    def trained(self) -> Policy:
        """The policy as it acts: with the weights of the last step, or their moving average."""
        return self.policy if self.average is None else self.average.policy

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of :attr:`trained`."""
        return self.trained.state_dict()

    def held_out_measures(self) -> dict[str, float]:
        """Measure :attr:`trained` on held-out examples (:func:`ibc.training.validation.held_out_measures`).

        Raises:
            UserError: there are none.
        """
        if self.held_out is None:
            raise UserError("no examples are held out; give held_out=... (data.holdout=0.1)")
        return held_out_measures(self.trained, self.loss, self.held_out, self.dataset)

    def fit(self, on_step: Callable[[dict[str, float]], None] | None = None) -> Policy:
        """Take all remaining steps, with progress; returns the policy, ready to act: with ``ema_decay``, the average.

        Args:
            on_step: called after each step with its metrics (a logger).

        Raises:
            UserError: the loss does not fit the policy, or training diverged.
        """
        progress, note = Progress("training", self.num_steps, "step", initial=self.step), ""
        while self.step < self.num_steps:
            shown = self.step % LOG_EVERY == 0
            metrics = self.train_step()
            if shown or on_step is not None:
                numbers = self.numbers(metrics)
                note = f"loss {numbers['loss']:.4f}" if shown else note
                if on_step is not None:
                    on_step(numbers)
            progress.advance(note)
        progress.close()
        self.check_finite()
        self.policy.load_state_dict(self.weights())
        return self.policy.eval()

    def dry_run(self) -> None:
        """Try the loss on one batch, so that what cannot work is known before anything is written.

        Raises:
            UserError: the loss does not fit the policy, or it remembers examples, of which each process sees a share.
        """
        state, memory = self.generator.get_state(), self.loss.state_dict()
        try:
            self.loss(self.policy, self._batches(self.step), self.share.random(self.generator))
        except (ArithmeticError, RuntimeError, ValueError) as error:
            raise UserError(
                f"the loss cannot be computed: {' '.join(str(error).split())}"
            ) from error
        self.share.check(self.loss.state_dict())
        self.generator.set_state(state)
        self.loss.load_state_dict(memory)

    def train_step(self) -> Metrics:
        """Take one gradient step; returns what the loss reports, and the gradient's norm, until the next step.

        Raises:
            UserError: the loss is not finite; the weights are those before the step. A recorded step leaves the weights
                as they are, and :meth:`numbers` raises.
        """
        start = time.perf_counter()
        factor = self.schedule(self.step)
        for group, base in zip(self.optimizer.param_groups, self.base_lr, strict=True):
            is_recorded = isinstance(group["lr"], Tensor)
            group["lr"] = group["lr"].fill_(factor * base) if is_recorded else factor * base
        self.policy.train()
        self.share.begin_step(self.step)
        if self.recorded is None:
            with limit_threads(self.gradient.num_threads):
                metrics = self._take_step(self._batches(self.step))
        else:
            self._index.copy_(self.indices(self.step))
            metrics = self.recorded()
        self.step += 1
        self.seconds += time.perf_counter() - start
        return metrics

    def numbers(self, metrics: Metrics) -> dict[str, float]:
        """Return the metrics of the latest step as numbers, with its learning rate; waits for the device.

        Raises:
            UserError: a recorded step has diverged.
        """
        start = time.perf_counter()
        means = torch.stack([*(m.detach().float().mean() for m in metrics.values())])
        average([means])
        self.check_finite()
        self.seconds += time.perf_counter() - start
        lr = self.schedule(self.step - 1) * self.base_lr[0]
        return {**dict(zip(metrics, means.tolist(), strict=True)), "lr": lr}

    def check_finite(self) -> None:
        """Raise UserError if a recorded step has diverged; waits for the device."""
        if self.recorded is not None and bool(self._diverged):
            raise self._divergence()

    def _take_recorded_step(self) -> Metrics:
        """The same on the examples whose numbers are on the device."""
        return self._take_step(self.dataset.batch(self._index))

    def _take_step(self, batch: Batch) -> Metrics:
        """All that a step does on the device."""
        self.optimizer.zero_grad(set_to_none=True)
        parts: list[Metrics] = []
        for part in batch.split(self.accumulate):
            whole = len(batch.action)
            parts += self.gradient.add(self.loss, part, whole, self.generator, self.share)
        average(p.grad for p in self.policy.parameters() if p.grad is not None)
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_GRADIENT_NORM)
        if self.recorded is None and not bool(torch.isfinite(norm + sum(p["loss"] for p in parts))):
            raise self._divergence()
        if self.recorded is not None:
            self._diverged.copy_(torch.maximum(self._diverged, 1 - norm.isfinite().float()))
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.policy)
        stacked = {k: torch.stack([torch.as_tensor(part[k]) for part in parts]) for k in parts[0]}
        return {**{k: values.mean() for k, values in stacked.items()}, "gradient_norm": norm}

    def _divergence(self) -> UserError:
        return UserError(
            f"training diverged at step {self.step}: the loss or its gradient is not finite; "
            "lower optimizer.lr, or raise the weight of the gradient penalty"
        )

    def state_dict(self) -> dict[str, Any]:
        """All that a continued run needs besides the policy's weights."""
        return {
            "step": self.step,
            "device": self.generator.device.type,
            "seconds": self.seconds,
            **self.gradient.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "loss": self.loss.state_dict(),
            "last_weights": {} if self.average is None else self.policy.state_dict(),
            "torch_generators": {  # dropout and the noise of encoders draw from these
                "cpu": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state_all(),
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`; the policy has the weights that were saved with it.

        Raises:
            UserError: the run was begun on another kind of device, whose random numbers are others.
        """
        if state["device"] != self.generator.device.type:
            raise UserError(
                f"this run was begun on {state['device']}; continue it by device={state['device']}"
            )
        self.step, self.seconds, self.best = state["step"], state["seconds"], state.get("best")
        self.gradient.load_state_dict(state)
        self.optimizer.load_state_dict(with_flags_of(self.optimizer, state["optimizer"]))
        if self.recorded is not None:
            self.record(self.recorded)  # what was loaded is a number, or in the host's memory
        self.generator.set_state(state["generator"])
        self.loss.load_state_dict(state.get("loss", {}))
        if self.average is not None:
            self.average.num_steps.fill_(self.step)
            self.average.policy.load_state_dict(self.policy.state_dict())
            self.policy.load_state_dict(state["last_weights"])
        torch.set_rng_state(state["torch_generators"]["cpu"])
        torch.cuda.set_rng_state_all(state["torch_generators"]["cuda"])
