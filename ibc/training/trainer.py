"""Gradient steps: an optimizer, a schedule, and everything needed to stop and go on exactly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ibc.component import call
from ibc.data.dataset import ShuffledIndices, WindowDataset
from ibc.errors import UserError
from ibc.losses import Loss
from ibc.policies import Policy
from ibc.progress import Progress
from ibc.random import BatchRandom
from ibc.training.default_loss import default_loss

#: Gradients are scaled down to this norm: one unlucky batch must not undo a thousand good ones.
MAX_GRADIENT_NORM = 10.0


def warmup_cosine(step: int, warmup_steps: int, num_steps: int) -> float:
    """Factor on the learning rate: a linear rise, then half a cosine to zero at the last step."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Trainer:
    """Takes a policy through ``num_steps`` gradient steps on a data set.

    Its state is a pure function of the seed and the step: examples are drawn by step number, and the states of all
    random generators are saved, so an interrupted run ends with the same weights as one that was not interrupted.

    Args:
        policy: untrained. Its normalizers and bounds are set from the data here.
        dataset: the examples.
        loss: the objective; :func:`ibc.training.default_loss.default_loss` if None.
        optimizer: called with the parameters; Adam at a learning rate of 2e-3 if None.
        batch_size, num_steps: of the run.
        warmup_steps: in which the learning rate rises; it falls by a cosine afterwards.
        keyframe_oversampling: times more often that steps at which the action jumps are shown.
        ema_decay: the policy that is saved and acts has the exponential moving average of the weights, with this decay
            in a step; 0 keeps the last weights.
        seed: of data order and noise.

    Attributes:
        step: gradient steps taken.
        seconds: that they took.
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
        keyframe_oversampling: int = 10,
        ema_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.policy = policy
        self.policy.fit(dataset)
        self.loss = default_loss(policy) if loss is None else loss
        self.dataset = dataset
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.make_optimizer = partial(torch.optim.Adam, lr=2e-3) if optimizer is None else optimizer
        self.optimizer: torch.optim.Optimizer = call(
            self.make_optimizer, "optimizer", policy.parameters()
        )
        self.base_lr = [group["lr"] for group in self.optimizer.param_groups]
        self.indices = ShuffledIndices(
            len(dataset),
            batch_size,
            seed,
            oversample=dataset.keyframes(),
            repeats=keyframe_oversampling,
        )
        device = next(policy.parameters()).device
        self.generator = torch.Generator(device).manual_seed(seed)
        if not 0 <= ema_decay < 1:
            raise UserError(f"ema_decay={ema_decay}; allowed: 0 to below 1")
        # Kept from the first step on; buffers of a policy are statistics of the data, which do not change.
        self.average = (
            AveragedModel(policy, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))  # type: ignore[no-untyped-call]
            if ema_decay
            else None
        )
        self.step = 0
        self.seconds = 0.0

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the trained policy: those of the last step, or their moving average."""
        trained = self.policy if self.average is None else self.average.module
        return trained.state_dict()

    def fit(self, on_step: Callable[[dict[str, float]], None] | None = None) -> Policy:
        """Take all remaining steps, with progress; returns the policy, ready to act.

        Args:
            on_step: called after each step with its metrics (a logger).

        Raises:
            UserError: the loss does not fit the policy, or training diverged.
        """
        progress = Progress("training", self.num_steps, "step", initial=self.step)
        while self.step < self.num_steps:
            metrics = self.train_step()
            if on_step is not None:
                on_step(metrics)
            progress.advance(f"loss {metrics['loss']:.4f}")
        progress.close()
        self.policy.load_state_dict(self.weights())
        return self.policy.eval()

    def dry_run(self) -> None:
        """Try the loss on one batch, so that what cannot work is known before anything is written.

        Raises:
            UserError: the loss does not fit the policy.
        """
        state, memory = self.generator.get_state(), self.loss.state_dict()
        self.loss(self.policy, self.dataset.batch(self.indices(0)), BatchRandom(self.generator))
        self.generator.set_state(state)
        self.loss.load_state_dict(memory)

    def train_step(self) -> dict[str, float]:
        """One gradient step; returns what the loss reports, the gradient's norm and the learning rate.

        Raises:
            UserError: the loss is not finite; the weights are those before the step.
        """
        start = time.perf_counter()
        factor = warmup_cosine(self.step, self.warmup_steps, self.num_steps)
        for group, lr in zip(self.optimizer.param_groups, self.base_lr, strict=True):
            group["lr"] = factor * lr
        self.policy.train()
        batch = self.dataset.batch(self.indices(self.step))
        loss, metrics = self.loss(self.policy, batch, BatchRandom(self.generator))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_GRADIENT_NORM)
        if not bool(torch.isfinite(norm)):
            raise UserError(
                f"training diverged at step {self.step}: the gradient is not finite; "
                "lower optimizer.lr, or raise the weight of the gradient penalty"
            )
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.policy)
        self.step += 1
        self.seconds += time.perf_counter() - start
        report = {name: float(value) for name, value in metrics.items()}
        return {
            **report,
            "loss": float(loss.detach()),
            "gradient_norm": float(norm),
            "lr": factor * self.base_lr[0],
        }

    def state_dict(self) -> dict[str, Any]:
        """All that a continued run needs besides the policy's weights."""
        return {
            "step": self.step,
            "device": self.generator.device.type,
            "seconds": self.seconds,
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
        here = self.generator.device.type
        if state["device"] != here:
            raise UserError(
                f"this run was begun on {state['device']}; continue it by device={state['device']}"
            )
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.loss.load_state_dict(state.get("loss", {}))
        if self.average is not None:
            self.average.module.load_state_dict(self.policy.state_dict())
            self.average.n_averaged.fill_(self.step)
            self.policy.load_state_dict(state["last_weights"])
        torch.set_rng_state(state["torch_generators"]["cpu"])
        torch.cuda.set_rng_state_all(state["torch_generators"]["cuda"])
