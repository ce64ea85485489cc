"""The gradient of two halves of a batch at once is that of the batch."""

import pytest
import torch
from small import config_of

from ibc.construct import construct
from ibc.data import WindowDataset
from ibc.energies import MLPEnergy
from ibc.errors import UserError
from ibc.losses import (
    MSE,
    Combined,
    DenoisingScoreMatching,
    InfoNCE,
    NeighborRegression,
    ReplayedNegatives,
    UniformNegatives,
    Unrolled,
)
from ibc.nn import ObsEncoder
from ibc.policies import ImplicitPolicy
from ibc.policies.loading import make_policy
from ibc.samplers import IBCLangevin
from ibc.training import Trainer
from ibc.training import gradient as gradient_module
from ibc.training import trainer as trainer_module
from ibc.training.share import Share

pytestmark = pytest.mark.unchecked

OPTIONS = {"batch_size": 16, "num_steps": 6, "warmup_steps": 0}


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(gradient_module, "LEAST_WORK", 0)


def trainer_of(spec, episodes, loss, energy=None, **options):
    torch.manual_seed(0)
    policy = ImplicitPolicy(spec, energy or MLPEnergy(width=16, num_blocks=1))
    return Trainer(policy, WindowDataset(episodes, spec), loss=loss, **OPTIONS | options)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "recipe",
    [
        "implicit",
        "implicit_info_nce",
        "implicit_langevin",
        "implicit_noise_conditioned",
        "implicit_autoregressive",
        "diffusion",
        "cvae",
        "mdn",
    ],
)
def test_halves_add_up_to_the_gradient_of_the_batch(
    spec, episodes, recipe, accumulate, monkeypatch
):
    monkeypatch.setattr(trainer_module, "MAX_GRADIENT_NORM", float("inf"))
    config = config_of(recipe)
    dataset = WindowDataset(episodes, spec)

    def gradients(is_halved):
        torch.manual_seed(0)
        policy = make_policy(config["policy"], spec)
        loss = construct(config["loss"], "loss")
        trainer = Trainer(policy, dataset, loss=loss, accumulate=accumulate, **OPTIONS)
        trainer.gradient.is_halved = is_halved
        trainer.optimizer.step = lambda: None
        metrics = trainer._take_step(dataset.batch(trainer.indices(0)))
        return [p.grad for p in policy.parameters()], metrics, trainer.generator.get_state()

    whole, halves = gradients(False), gradients(True)
    for expected, found in zip(whole[0], halves[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(halves[1]["loss"], whole[1]["loss"], rtol=1e-4, atol=1e-5)
    assert torch.equal(halves[2], whole[2])


def test_a_batch_without_two_halves_is_taken_whole(spec, episodes):
    trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]), batch_size=15)
    parts = trainer.gradient.add(
        trainer.loss,
        trainer.dataset.batch(trainer.indices(0)),
        15,
        trainer.generator,
        trainer.share,
    )
    assert trainer.gradient.is_halved
    assert len(parts) == 1


def test_processes_do_not_halve_a_run_that_one_began_in_halves(spec, episodes):
    trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
    trainer.gradient.is_halved = True
    trainer.share.index, trainer.share.count = 1, 2
    batch = trainer.dataset.batch(trainer.indices(0))
    parts = trainer.gradient.add(
        trainer.loss, batch, len(batch.action), trainer.generator, trainer.share
    )
    assert len(parts) == 1


def test_a_run_in_halves_is_repeated_and_continued_exactly(spec, episodes):
    def trained(steps, state=None):
        trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
        if state is not None:
            trainer.policy.load_state_dict(state[0])
            trainer.load_state_dict(state[1])
        for _ in range(steps):
            trainer.train_step()
        assert trainer.gradient.is_halved
        return trainer.weights(), trainer.state_dict()

    whole, again = trained(6), trained(6)
    continued = trained(4, trained(2))
    for name, value in whole[0].items():
        assert torch.equal(value, again[0][name])
        assert torch.equal(value, continued[0][name])


def test_a_continued_run_does_as_it_began(spec, episodes):
    state = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)])).state_dict()
    for begun in (True, False):
        trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
        trainer.load_state_dict({**state, "is_halved": begun})
        torch.set_num_threads(1 if begun else 2)
        trainer.train_step()
        assert trainer.gradient.is_halved is begun
    del state["is_halved"]  # a run that was begun before there were halves
    trainer.load_state_dict(state)
    assert trainer.gradient.is_halved is False


@pytest.mark.parametrize(
    "obstacle", ["none", "little_work", "one_thread", "noise", "statistics", "memory"]
)
def test_what_could_not_be_repeated_or_would_take_longer_is_not_halved(
    spec, episodes, obstacle, monkeypatch
):
    negatives = UniformNegatives(4)
    energy = MLPEnergy(
        ObsEncoder(noise_std=0.1 if obstacle == "noise" else 0.0),
        width=16,
        num_blocks=1,
        spectral_norm=obstacle == "statistics",
    )
    if obstacle == "little_work":
        monkeypatch.setattr(gradient_module, "LEAST_WORK", 1e9)
    if obstacle == "one_thread":
        torch.set_num_threads(1)
    if obstacle == "memory":
        negatives = ReplayedNegatives(
            num=4,
            sampler=IBCLangevin(num_candidates=4, num_iterations=2, step_init=0.1, step_final=0.1),
        )
    trainer = trainer_of(spec, episodes, InfoNCE(negatives=[negatives]), energy)
    torch.manual_seed(7)
    untouched = torch.get_rng_state(), [buffer.clone() for buffer in trainer.policy.buffers()]
    batch = trainer.dataset.batch(trainer.indices(0))
    assert trainer.gradient._is_worth_halving(trainer.loss, batch) is (obstacle == "none")
    assert torch.equal(torch.get_rng_state(), untouched[0])
    assert all(map(torch.equal, trainer.policy.buffers(), untouched[1]))
    assert not trainer.loss.state_dict()


class Ranked(MSE):
    """Compares each example with the others of its batch."""

    def __call__(self, policy, batch, rng):
        found, right = policy.predict_unit(batch.obs), policy.bounds.to_unit(batch.action)
        loss = torch.log_softmax(-torch.cdist(found, right), 1).diagonal().mean()
        return -loss, {}


@pytest.mark.parametrize(
    ("recipe", "loss"),
    [
        ("nearest", NeighborRegression()),
        ("implicit_unimodal", Unrolled(num=2, num_steps=1, max_steps=6, step_size=0.1)),
        (
            "implicit_unimodal",
            Combined([Unrolled(num=2, num_steps=1, max_steps=6, step_size=0.1)], [1.0]),
        ),
        # Of 10 examples two, of 20 five.
        ("implicit_unimodal", Combined([DenoisingScoreMatching()], [0.25])),
        ("mse", Ranked()),
    ],
)
def test_a_loss_that_is_no_mean_over_examples_is_not_halved(spec, episodes, recipe, loss):
    policy = make_policy(config_of(recipe)["policy"], spec)
    trainer = Trainer(policy, WindowDataset(episodes, spec), loss=loss, batch_size=20)
    trainer.train_step()
    assert trainer.gradient.is_halved is False


class SumOfTwo(torch.nn.Module):
    """Two parameters whose gradients are one tensor."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Parameter(torch.zeros(3)) for _ in range(2))


def test_gradients_that_are_one_tensor_are_not_added_into_each_other(spec, episodes):
    policy = SumOfTwo()
    dataset = WindowDataset(episodes, spec)

    def objective(policy, batch, rng):
        return (policy.first + policy.second).sum() * len(batch.action), {}

    gradient = gradient_module.Gradient(policy)
    gradient.is_halved = True
    batch = dataset.batch(torch.arange(4))
    gradient.add(objective, batch, 4, torch.Generator(), Share(4, 1, 0))
    for parameter in policy.parameters():
        torch.testing.assert_close(parameter.grad, torch.full((3,), 2.0))


def test_an_error_of_a_half_is_that_of_the_step(spec, episodes):
    trainer = trainer_of(spec, episodes, MSE())
    trainer.gradient.is_halved = True
    with pytest.raises(UserError, match="has no proposal"):
        trainer.train_step()
