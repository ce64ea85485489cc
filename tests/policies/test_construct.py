"""Arguments of a description are held against the constructor before anything is built from them."""

import functools

import pytest

from ibc.construct import construct
from ibc.errors import UserError
from ibc.samplers import GradientDescent

DESCENT = {
    "_target_": "ibc.samplers.GradientDescent",
    "num_candidates": 8,
    "num_iterations": 4,
    "step_init": 1.5,
    "step_final": 0.01,
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_candidates", 2.5, "num_candidates=2.5; it must be int"),
        ("num_candidates", True, "num_candidates=True; it must be int"),
        ("num_candidates", "8", "num_candidates='8'; it must be int"),
        ("num_candidates", -1, "num_candidates=-1; it must be at least 0"),
        ("step_init", None, "step_init=None; it must be float"),
        ("settle", [], "settle=[]; it must be float or null"),
        ("power", -1.0, "power=-1.0; it must be at least 0"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(name, value, message):
    described = {**DESCENT, name: value}
    with pytest.raises(UserError, match="cannot build sampler") as caught:
        construct(described, "sampler")
    assert message in str(caught.value)


def test_a_part_must_be_a_component_of_its_kind():
    described = {
        "_target_": "ibc.policies.ImplicitPolicy",
        "spec": None,
        "sampler": {"num_candidates": 8},
    }
    with pytest.raises(UserError, match="sampler=.*it must be Sampler"):
        construct(described, "policy")


def test_whole_numbers_fit_where_any_number_does_and_partials_stand_for_what_they_make():
    sampler = construct({**DESCENT, "step_init": 1, "settle": None}, "sampler")
    assert isinstance(sampler, GradientDescent)
    assert sampler.step_init == 1
    assert isinstance(construct({**DESCENT, "_partial_": True}, "s"), functools.partial)


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        (
            "samplers.DFO",
            {"num_candidates": 0, "num_iterations": 1, "noise_std": 0.1, "shrink": 0.5},
        ),
        (
            "samplers.ULA",
            {"num_candidates": 1, "num_iterations": 0, "step_init": 1, "step_final": 1},
        ),
        ("samplers.HMC", {"num_candidates": 1, "num_iterations": 1, "num_leapfrog": 0}),
        ("samplers.MALA", {"num_candidates": 1, "num_iterations": 1, "step": -1.0}),
        ("samplers.AnnealedLangevin", {"num_candidates": 1, "steps_per_level": 0}),
        ("samplers.AcceleratedDescent", {"step_size": 0}),
        ("samplers.ProbabilityFlow", {"num_candidates": 0}),
        ("losses.UniformNegatives", {"num": 0}),
        ("losses.NeighborNegatives", {"num": 0, "min_std": 0.1, "max_std": 1.0}),
        ("losses.RankingNCE", {"num": 4, "temperature": 0.0}),
        ("losses.DenoisingScoreMatching", {"num": 0}),
        ("losses.Unrolled", {"num": 0, "num_steps": 1, "step_size": 0.1}),
        ("losses.EquilibriumMatching", {"slope": -1.0}),
        ("energies.PreconditionedEnergy", {"data_std": 0.0}),
        ("nn.sequence.ChunkTransformer", {"num_heads": 0}),
    ],
)
def test_numbers_that_would_do_nothing_or_the_opposite_are_refused(target, wrong):
    with pytest.raises(UserError, match="it must be above 0"):
        construct({"_target_": f"ibc.{target}", **wrong}, "part")
