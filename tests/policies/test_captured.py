"""Recorded searches give what the search gives, whatever replays them. The GPU's own recorder needs a GPU."""

import pytest
import torch
from known_energies import policy_of
from small import make_obs

from ibc import AllOf
from ibc.cli.config import compose
from ibc.constraints import KeepOutDisk
from ibc.energies import as_bound
from ibc.policies.captured import MOST_RECORDINGS, CapturedSearch, capture_cuda_graph
from ibc.policies.loading import make_policy
from ibc.policies.search import SearchProblem, SearchResult
from ibc.random import BatchRandom
from ibc.samplers import Chain


class Recorder:
    """Does the work again instead of replaying it, into the same memory and from the same memory."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, work):
        out = work()
        self.recorded += 1

        def replay():
            self.replayed += 1
            new = work()
            out.action.copy_(new.action)
            out.energy.copy_(new.energy)

        return out, replay


def search(obs, rng):
    """Uses both kinds of noise, changes what it is given, and depends on the observation."""
    action = rng.uniform(len(obs["x"]), 5, 2)
    action += 0.1 * rng.normal(len(obs["x"]), 5, 2)
    return SearchResult(action, (action - obs["x"][:, None]).square().sum(-1), as_bound(torch.sum))


def rng(seed):
    return BatchRandom(torch.Generator().manual_seed(seed))


def test_a_replay_is_the_search():
    recorder = Recorder()
    captured = CapturedSearch(recorder)
    for seed in range(4):
        obs = {"x": torch.randn(3, 2)}
        found, expected = captured(search, obs, rng(seed), "kind"), search(obs, rng(seed))
        assert torch.equal(found.action, expected.action)
        assert torch.equal(found.energy, expected.energy)
    assert (recorder.recorded, recorder.replayed) == (1, 4)


def test_recording_draws_nothing_of_torchs_own_generator():
    state = torch.get_rng_state()
    CapturedSearch(Recorder())(search, {"x": torch.zeros(1, 2)}, rng(0), "kind")
    assert torch.equal(torch.get_rng_state(), state)


def test_answers_outlive_the_next_replay():
    captured = CapturedSearch(Recorder())
    first = captured(search, {"x": torch.zeros(1, 2)}, rng(0), "kind")
    before = first.action.clone()
    captured(search, {"x": torch.ones(1, 2)}, rng(1), "kind")
    assert torch.equal(first.action, before)


def test_a_search_that_is_changed_in_place_is_another_kind():
    policy = policy_of(lambda action: action.square()).policy
    disk = KeepOutDisk([0.5], 0.1)
    energy = AllOf(policy.energy, disk)
    problem = SearchProblem(energy, policy.bounds)

    def set_number():
        policy.sampler.samplers[0].num_iterations += 1

    def set_radius():
        disk.radius = 0.3

    def set_weight():
        energy.weights = [1.0, 5.0]

    def set_number_of_a_part():
        policy.sampler.samplers[0].num_candidates = 3

    policy.sampler = Chain([policy.sampler])
    known = [policy._kind(problem)]
    assert policy._kind(problem) == known[0]
    for change in (set_number, set_number_of_a_part, set_radius, set_weight):
        change()
        kind = policy._kind(problem)
        assert kind not in known
        known.append(kind)
    assert len(set(known)) == 5


def test_every_kind_and_shape_is_recorded_once():
    recorder = Recorder()
    captured = CapturedSearch(recorder)
    for _ in range(2):
        for kind in ("a", "b"):
            for batch in (1, 4):
                captured(search, {"x": torch.randn(batch, 2)}, rng(0), kind)
    assert recorder.recorded == 4


def test_memory_is_bounded():
    recorder = Recorder()
    captured = CapturedSearch(recorder)
    for _ in range(2):
        for batch in range(
            1, MOST_RECORDINGS + 2
        ):  # one too many: each has gone when it comes again
            captured(search, {"x": torch.randn(batch, 2)}, rng(0), "kind")
    assert recorder.recorded == 2 * (MOST_RECORDINGS + 1)


def test_what_cannot_be_recorded_is_searched():
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    captured = CapturedSearch(refuse)
    for seed in range(2):
        obs = {"x": torch.randn(2, 2)}
        assert torch.equal(
            captured(search, obs, rng(seed), "k").action, search(obs, rng(seed)).action
        )


def test_a_search_with_other_noise_each_time_is_not_recorded():
    sizes = iter(range(1, 9))

    def moody(obs, rng):
        action = rng.uniform(1, next(sizes), 2)
        return SearchResult(action, action.sum(-1), as_bound(torch.sum))

    recorder = Recorder()
    captured = CapturedSearch(recorder)
    captured(moody, {"x": torch.zeros(1, 2)}, rng(0), "kind")
    assert recorder.recorded == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cuda_graph_replays_the_search():
    device = torch.device("cuda")
    captured = CapturedSearch(capture_cuda_graph)
    for seed in range(3):
        obs = {"x": torch.randn(3, 2, device=device)}
        ours, theirs = (BatchRandom(torch.Generator(device).manual_seed(seed)) for _ in range(2))
        torch.testing.assert_close(
            captured(search, obs, ours, "kind").action, search(obs, theirs).action
        )


@pytest.mark.unchecked
@pytest.mark.parametrize("sampler", ["dfo", "ibc_langevin", "gradient_descent", "dfo_then_descent"])
def test_searches_of_a_policy_can_be_recorded(sampler, spec):
    """On the CPU, by the stand-in: they ask for the same noise each time and keep no state between calls."""
    overrides = ["policy=implicit", f"sampler={sampler}", "network.width=16", "env=particle"]
    config = compose("train", overrides)
    policy = make_policy(config["policy"], spec).eval()
    recorder = Recorder()
    captured = CapturedSearch(recorder)
    for seed in range(2):
        obs = make_obs(spec)
        found, expected = (
            captured(policy.search, obs, rng(seed), None),
            policy.search(obs, rng(seed)),
        )
        assert torch.equal(found.action, expected.action)
        assert torch.equal(found.energy, expected.energy)
    assert (recorder.recorded, recorder.replayed) == (1, 2)
