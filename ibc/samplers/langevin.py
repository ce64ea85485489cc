"""The Langevin search of the IBC paper."""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from ibc.random import RandomSource
from ibc.samplers.gradient_descent import GradientDescent


@dataclass(eq=False, kw_only=True)
class IBCLangevin(GradientDescent):
    """Annealed, noisy gradient descent as in the paper (appendix B.3) and its code.

    One step is ``a <- clip(a - clip(s * (g / 2 + noise_std * xi)))``. The noise is multiplied by the step itself and
    not by its square root, so this is an optimizer: its temperature falls to zero with the step, and it does not sample
    from ``exp(-E)``.

    Args:
        num_candidates, num_iterations, step_init, step_final, power, delta_clip: as in :class:`GradientDescent`.
        noise_std: standard deviation of the noise before it is multiplied by the step.
    """

    noise_std: float = 1.0
    settle: None = field(init=False, default=None)

    def direction(
        self, gradient: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`GradientDescent`; with noise."""
        return 0.5 * gradient + self.noise_std * rng.normal(*gradient.shape)
