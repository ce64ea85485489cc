"""Gradient descent on an energy."""

from typing import Any

from ibc.samplers.langevin import IBCLangevin


class GradientDescent(IBCLangevin):
    """The chain of :class:`IBCLangevin` without noise."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(noise_std=0.0, **kwargs)
