"""The gradient of parts of a batch, two at once, is that of the batch."""

import os
from threading import Barrier

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
    monkeypatch.setattr(gradient_module, "WORK_OF_THREAD", 1)
    monkeypatch.setattr(gradient_module, "WORK_OF_PARTS", {2: 0, 4: 1e4})


def trainer_of(spec, episodes, loss, energy=None, **options):
    torch.manual_seed(0)
    policy = ImplicitPolicy(spec, energy or MLPEnergy(width=16, num_blocks=1))
    return Trainer(policy, WindowDataset(episodes, spec), loss=loss, **OPTIONS | options)


@pytest.mark.parametrize(("accumulate", "count"), [(1, 2), (1, 4), (2, 4)])
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
def test_parts_add_up_to_the_gradient_of_the_batch(
    spec, episodes, recipe, accumulate, count, monkeypatch
):
    monkeypatch.setattr(trainer_module, "MAX_GRADIENT_NORM", float("inf"))
    config = config_of(recipe)
    dataset = WindowDataset(episodes, spec)

    def gradients(num_parts):
        torch.manual_seed(0)
        policy = make_policy(config["policy"], spec)
        loss = construct(config["loss"], "loss")
        options = {**OPTIONS, "batch_size": 32, "accumulate": accumulate}
        trainer = Trainer(policy, dataset, loss=loss, **options)
        trainer.gradient.num_parts = num_parts
        trainer.optimizer.step = lambda: None
        metrics = trainer._take_step(dataset.batch(trainer.indices(0)))
        return [p.grad for p in policy.parameters()], metrics, trainer.generator.get_state()

    whole, parts = gradients(1), gradients(count)
    for expected, found in zip(whole[0], parts[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts[1]["loss"], whole[1]["loss"], rtol=1e-4, atol=1e-5)
    assert torch.equal(parts[2], whole[2])


@pytest.mark.parametrize(("size", "count"), [(15, 1), (14, 2), (16, 4)])
def test_a_batch_is_cut_into_equal_parts(spec, episodes, size, count):
    loss = InfoNCE(negatives=[UniformNegatives(4)])
    trainer = trainer_of(spec, episodes, loss, batch_size=size)
    batch = trainer.dataset.batch(trainer.indices(0))
    for rows in (batch, batch.rows(1, size), batch):  # one row cannot be cut
        parts = trainer.gradient.add(loss, rows, size, trainer.generator, trainer.share)
        assert len(parts) == (1 if len(rows.action) == 1 else count)
    assert trainer.gradient.num_parts == count


def test_processes_do_not_cut_a_run_that_one_began_in_parts(spec, episodes):
    trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
    trainer.gradient.num_parts = 2
    trainer.share.index, trainer.share.count = 1, 2
    batch = trainer.dataset.batch(trainer.indices(0))
    parts = trainer.gradient.add(
        trainer.loss, batch, len(batch.action), trainer.generator, trainer.share
    )
    assert len(parts) == 1


def test_a_run_in_parts_is_repeated_and_continued_exactly(spec, episodes):
    def trained(steps, state=None):
        trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
        if state is not None:
            trainer.policy.load_state_dict(state[0])
            trainer.load_state_dict(state[1])
        for _ in range(steps):
            trainer.train_step()
        assert trainer.gradient.num_parts == 4
        return trainer.weights(), trainer.state_dict()

    whole, again = trained(6), trained(6)
    continued = trained(4, trained(2))
    for name, value in whole[0].items():
        assert torch.equal(value, again[0][name])
        assert torch.equal(value, continued[0][name])


def test_a_continued_run_does_as_it_began(spec, episodes):
    def after(**begun):
        trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
        trainer.load_state_dict({**state, **begun})
        torch.set_num_threads(1 if begun["num_parts"] == 2 else 2)
        trainer.train_step()
        return trainer.gradient

    state = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)])).state_dict()
    for begun in ({"num_parts": 2, "num_threads": 1}, {"num_parts": 1, "num_threads": 2}):
        gradient = after(**begun)
        assert {"num_parts": gradient.num_parts, "num_threads": gradient.num_threads} == begun


@pytest.mark.parametrize(("begun", "parts"), [({}, 1), ({"is_halved": True}, 2)])
def test_a_run_of_an_earlier_edition_goes_on_as_it_was(spec, episodes, begun, parts):
    trainer = trainer_of(spec, episodes, InfoNCE(negatives=[UniformNegatives(4)]))
    state = trainer.state_dict()
    del state["num_parts"], state["num_threads"]
    trainer.load_state_dict({**state, **begun})
    trainer.train_step()
    assert (trainer.gradient.num_parts, trainer.gradient.num_threads) == (parts, None)


@pytest.mark.parametrize(
    "obstacle", ["none", "little_work", "one_thread", "noise", "statistics", "memory"]
)
def test_what_could_not_be_repeated_or_would_take_longer_stays_whole(
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
        monkeypatch.setattr(gradient_module, "WORK_OF_PARTS", {2: 1e9})
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
    count, _ = trainer.gradient._divided(trainer.loss, batch, trainer.share)
    assert count == (4 if obstacle == "none" else 1)
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
def test_a_loss_that_is_no_mean_over_examples_stays_whole(spec, episodes, recipe, loss):
    policy = make_policy(config_of(recipe)["policy"], spec)
    trainer = Trainer(policy, WindowDataset(episodes, spec), loss=loss, batch_size=20)
    trainer.train_step()
    assert trainer.gradient.num_parts == 1


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
    gradient.num_parts = 2
    batch = dataset.batch(torch.arange(4))
    gradient.add(objective, batch, 4, torch.Generator(), Share(4, 1, 0))
    for parameter in policy.parameters():
        torch.testing.assert_close(parameter.grad, torch.full((3,), 2.0))


def test_an_error_of_a_part_is_that_of_the_step(spec, episodes):
    trainer = trainer_of(spec, episodes, MSE())
    trainer.gradient.num_parts = 2
    with pytest.raises(UserError, match="has no proposal"):
        trainer.train_step()


@pytest.mark.parametrize(("work", "threads"), [(1e9, 1), (2e3, 2)])
def test_a_step_takes_the_threads_that_it_has_work_for(spec, episodes, work, threads, monkeypatch):
    monkeypatch.setattr(gradient_module, "WORK_OF_THREAD", work)
    monkeypatch.setattr(gradient_module, "WORK_OF_PARTS", {})
    loss, seen = InfoNCE(negatives=[UniformNegatives(4)]), []

    class Watched(type(loss)):
        def __call__(self, *args):
            seen.append(torch.get_num_threads())
            return super().__call__(*args)

    trainer = trainer_of(spec, episodes, Watched(negatives=loss.negatives))
    trainer.train_step()
    trainer.train_step()
    assert trainer.gradient.num_threads == threads
    assert seen[-2:] == [threads, threads]
    assert torch.get_num_threads() == 2


def test_workers_keep_to_halves_of_the_cores():
    def cores():
        barrier.wait()  # each of the two workers has one of these
        return os.sched_getaffinity(0), torch.get_num_threads()

    allowed, barrier = os.sched_getaffinity(0), Barrier(2)
    workers = gradient_module._two_workers(1)
    found = [future.result() for future in [workers.submit(cores) for _ in range(2)]]
    assert [threads for _, threads in found] == [1, 1]
    if len(allowed) > 1:
        assert found[0][0].isdisjoint(found[1][0])
    assert found[0][0] | found[1][0] == allowed
    assert os.sched_getaffinity(0) == allowed
