"""Results of the paper: mean return and, where given, its deviation over three seeds of 100 episodes.

Florence et al. 2021 (arXiv 2109.00137), tables 2 and 10. ``mse`` is explicit, ``implicit`` energy-based cloning;
``*_best_half`` were trained on the half of the demonstrations with the highest returns.
"""

from __future__ import annotations

Score = tuple[float, float | None]

PUBLISHED: dict[str, dict[str, Score]] = {
    task: dict(zip(("mse", "implicit", "mse_best_half", "implicit_best_half"), row, strict=False))
    for task, row in {
        "kitchen-complete": ((1.76, 0.04), (3.37, 0.19), (1.22, 0.18), (3.37, 0.01)),
        "kitchen-partial": ((1.69, 0.02), (1.45, 0.35), (1.86, 0.26), (2.18, 0.05)),
        "kitchen-mixed": ((2.15, 0.06), (1.51, 0.39), (2.03, 0.06), (2.25, 0.14)),
        "pen-human": ((2141.0, 109.0), (2586.0, 65.0), (2108.0, 58.8), (2446.0, 207.0)),
        "hammer-human": ((-38.0, 25.0), (-133.0, 26.0), (-35.1, 45.1), (-9.3, 45.5)),
        "door-human": ((79.0, 15.0), (361.0, 67.0), (17.9, 13.8), (399.0, 34.0)),
        "relocate-human": ((-3.5, 1.1), (-0.1, 2.4), (-3.7, 0.3), (3.6, 2.5)),
        "halfcheetah-medium": ((4273.0, None), (4086.0, None)),
        "walker2d-medium": ((822.0, None), (676.0, None)),
        "hopper-medium": ((966.0, None), (2430.0, None)),
        "halfcheetah-medium-replay": ((4029.0, None), (2766.0, None)),
        "walker2d-medium-replay": ((480.0, None), (433.0, None)),
        "hopper-medium-replay": ((543.0, None), (382.0, None)),
        "halfcheetah-medium-expert": ((11758.0, None), (4040.0, None)),
        "walker2d-medium-expert": ((640.0, None), (745.0, None)),
        "hopper-medium-expert": ((909.0, None), (876.0, None)),
        "halfcheetah-expert": ((12802.0, None), (9436.0, None)),
        "walker2d-expert": ((2677.0, None), (3746.0, None)),
        "hopper-expert": ((3619.0, None), (3549.0, None)),
        "halfcheetah-random": ((0.0, None), (-392.0, None)),
        "walker2d-random": ((145.0, None), (-1.63, None)),
        "hopper-random": ((284.0, None), (308.0, None)),
    }.items()
}
