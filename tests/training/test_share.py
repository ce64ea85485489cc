"""Data-parallel training: a step of several processes is one step on the joint batch."""

import os
import subprocess
import sys

import pytest
import torch
from small import config_of

from ibc.checkpoint import load_checkpoint
from ibc.construct import construct
from ibc.data import WindowDataset
from ibc.errors import UserError
from ibc.policies.loading import make_policy
from ibc.random import BatchRandom
from ibc.training import Trainer, share
from ibc.training import trainer as trainer_module
from ibc.training.share import JointNoise, RowsOfBatchRandom, Share

pytestmark = pytest.mark.unchecked


def generator():
    return torch.Generator().manual_seed(3)


def share_of(index, count, **kwargs):
    """The share of one of several processes, without starting them."""
    made = Share(kwargs.pop("batch_size", 12), kwargs.pop("accumulate", 1), 0)
    made.index, made.count = index, count
    return made


@pytest.mark.parametrize("accumulate", [1, 2])
def test_rows_and_noise_of_shares_are_those_of_the_joint_batch(accumulate):
    joint = torch.arange(12)
    shares = [share_of(i, 3, accumulate=accumulate).rows(lambda step: joint)(0) for i in range(3)]
    for number, part in enumerate(joint.chunk(accumulate)):
        own = torch.stack([share.chunk(accumulate)[number] for share in shares], 1)
        assert torch.equal(own.flatten(), part)
    for draw in ("uniform", "normal"):
        whole = getattr(BatchRandom(generator()), draw)(6, 4)
        rows = [getattr(RowsOfBatchRandom(generator(), i, 3), draw)(2, 4) for i in range(3)]
        assert torch.equal(torch.stack(rows, 1).flatten(0, 1), whole)


def test_parts_take_their_rows_of_noise_that_is_drawn_once():
    whole, drawn = BatchRandom(generator()), BatchRandom(generator())
    noise = JointNoise(drawn)
    parts = [noise.rows(i, 3) for i in range(3)]
    found = [[part.normal(2, 4) for part in parts], [part.uniform(2) for part in reversed(parts)]]
    assert torch.equal(torch.stack(found[0], 1).flatten(0, 1), whole.normal(6, 4))
    assert torch.equal(torch.stack(found[1][::-1], 1).flatten(), whole.uniform(6))
    assert torch.equal(drawn.generator.get_state(), whole.generator.get_state())


@pytest.mark.parametrize("other", [("normal", (2, 5)), ("uniform", (2, 4))])
def test_a_part_that_draws_something_else_is_refused(other):
    kind, shape = other
    noise = JointNoise(BatchRandom(generator()))
    noise.rows(0, 3).normal(2, 4)
    with pytest.raises(UserError, match="let its is_mean"):
        getattr(noise.rows(1, 3), kind)(*shape)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "recipe",
    [
        ["implicit"],
        ["implicit_info_nce"],
        ["implicit_langevin"],
        ["implicit_noise_conditioned"],
        ["diffusion"],
        ["cvae"],
        ["mdn"],
    ],
    ids="_".join,
)
def test_gradients_of_shares_average_to_those_of_the_joint_batch(
    spec, episodes, recipe, accumulate, monkeypatch
):
    monkeypatch.setattr(
        trainer_module, "MAX_GRADIENT_NORM", float("inf")
    )  # clipped after averaging
    config = config_of(*recipe)
    dataset = WindowDataset(episodes, spec)

    def gradients(index, count):
        torch.manual_seed(0)
        policy = make_policy(config["policy"], spec)
        loss = construct(config["loss"], "loss")
        options = {"batch_size": 16, "accumulate": accumulate, "num_steps": 3, "warmup_steps": 0}
        trainer = Trainer(policy, dataset, loss=loss, **options)
        trainer.share = share_of(index, count, accumulate=accumulate)
        rows = trainer.share.rows(trainer.indices)
        trainer.optimizer.step = lambda: None
        trainer._take_step(dataset.batch(rows(0)))
        return [p.grad for p in policy.parameters()], trainer.generator.get_state()

    joint, state = gradients(0, 1)
    first, second = gradients(0, 2), gradients(1, 2)
    assert torch.equal(first[1], state)
    assert torch.equal(second[1], state)
    for whole, *parts in zip(joint, first[0], second[0], strict=True):
        largest = max(1.0, float(whole.abs().max()))  # entries are sums of terms of about that size
        torch.testing.assert_close(sum(parts) / 2, whole, rtol=1e-4, atol=1e-5 * largest)


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch):
    monkeypatch.setattr(share, "num_processes", lambda: 2)
    with pytest.raises(UserError, match="a multiple of 4"):
        Share(10, 2, 0)


def test_a_loss_that_remembers_examples_is_refused():
    share_of(0, 1).check({"chains": torch.zeros(1)})
    with pytest.raises(UserError, match="one process only"):
        share_of(0, 2).check({"chains": torch.zeros(1)})


def test_torchs_own_generator_depends_on_seed_step_and_process():
    draws = []
    for index, step in ((1, 0), (1, 1), (2, 0), (1, 0)):
        share_of(index, 3).begin_step(step)
        draws.append(float(torch.rand(1)))
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3
    state = torch.get_rng_state()
    share_of(0, 3).begin_step(5)
    assert torch.equal(torch.get_rng_state(), state)


#: Trains nothing: a group of one process, what the first optimizer imports, and the threads that are left at the end.
GROUP = """
import os
import torch
import ibc.distributed
torch.distributed.init_process_group("gloo", init_method="file://" + os.path.abspath("meet"), rank=0, world_size=1)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1).step()
assert torch._dynamo
torch.distributed.all_reduce(torch.zeros(1))
torch.distributed.destroy_process_group()
for task in os.listdir("/proc/self/task"):
    print(open(f"/proc/self/task/{task}/comm").read().strip())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of threads from /proc")
def test_no_thread_of_the_group_outlives_it(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", GROUP], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "gloo" not in result.stdout


RECIPE = [
    "experiment=particle_2d", "debug=quick", "network.width=16", "network.num_blocks=1", "video=false",
    "+env.max_episode_steps=10", "+env.demo_overrides.max_episode_steps=50", "seed=3", "precision=float32",
]  # fmt: skip


def train(folder, processes, *overrides):
    """Run the command in one process or by torchrun in several."""
    torchrun = ["torch.distributed.run", f"--nproc-per-node={processes}", "--standalone", "-m"]
    command = [sys.executable, "-m", *(torchrun if processes > 1 else []), "ibc", "train", *RECIPE]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *overrides], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path):
    """In one go, and continued in the middle; only the first process writes."""
    for processes, overrides in (
        (1, ["run_dir=one", "trainer.num_steps=20"]),
        (2, ["run_dir=two", "trainer.num_steps=20"]),
        (2, ["run_dir=half", "trainer.num_steps=12"]),
        (2, ["run_dir=half", "trainer.num_steps=20", "resume=true"]),
    ):
        schedule = [
            "trainer.schedule=constant",
            *overrides,
        ]  # the same at step 12, whatever follows
        result = train(tmp_path, processes, *schedule)
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.count("files: ") == 1
    one, two, half = (
        load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("one", "two", "half")
    )
    for name, value in one.weights.items():
        torch.testing.assert_close(two.weights[name], value, rtol=1e-4, atol=1e-5)
        assert torch.equal(half.weights[name], two.weights[name]), name
