"""The Langevin search of the IBC paper."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ibc.random import RandomSource
from ibc.samplers.gradient_descent import GradientDescent


class IBCLangevin(GradientDescent):
    """Annealed, noisy gradient descent as in the paper (appendix B.3) and its code.

    One step is ``a <- clip(a - clip(s * (g / 2 + noise_std * xi)))``. The noise is multiplied by the step itself and
    not by its square root, so this is an optimizer: its temperature falls to zero with the step, and it does not sample
    from ``exp(-E)``.

    Args:
        num_candidates, num_iterations, step_init, step_final, power, delta_clip: as in :class:`GradientDescent`.
        noise_std: standard deviation of the noise before it is multiplied by the step.
    """

    def __init__(
        self,
        *,
        num_candidates: int,
        num_iterations: int,
        step_init: float,
        step_final: float,
        power: float = 2.0,
        noise_std: float = 1.0,
        delta_clip: float = 0.1,
    ) -> None:
        super().__init__(
            num_candidates=num_candidates,
            num_iterations=num_iterations,
            step_init=step_init,
            step_final=step_final,
            power=power,
            delta_clip=delta_clip,
        )
        self.noise_std = noise_std

    def direction(
        self, gradient: Float[Tensor, "B N A"], rng: RandomSource
    ) -> Float[Tensor, "B N A"]:
        """See :class:`GradientDescent`; with noise."""
        return 0.5 * gradient + self.noise_std * rng.normal(*gradient.shape)
