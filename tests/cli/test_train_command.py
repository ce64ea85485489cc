"""The training command as a user runs it: errors of one line, exit code 2, and nothing lost."""

import pytest
from commands import assert_refused

import ibc.cli.train as train_command
from ibc.cli.config import compose
from ibc.data import read_episodes

pytestmark = pytest.mark.unchecked


class TestTrain:
    QUICK = ("experiment=particle_2d", "debug=quick", "video=false", "data.num_episodes=2")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "please give data.path=..."),
            (("experiment=nope",), "Available options in 'experiment': bimanual_sweep_image"),
            (("experiment=d4rl",), "please give"),
            (("experiment=d4rl", "task=pen-people"), "there is no task 'pen-people'; tasks are"),
            (("trainer.num_step=3",), "trainer.num_step"),
            (("seed=abc",), "seed=abc; it must be a whole number"),
            (("video=perhaps",), "video=perhaps; it must be true or false"),
            (("policy=implict",), "there is no policy=implict; did you mean implicit? Available"),
            (("data.path=a (b)",), "cannot read data.path=a (b); values are given as KEY=VALUE"),
            (("runs/x",), "cannot read runs/x; values are given as KEY=VALUE"),
            (("data.path=nowhere", "env.id=Particle-v0"), "no demonstrations at nowhere"),
            ((*QUICK, "env.id=Nonsense-v0"), "Nonsense"),
            ((*QUICK, "env.n_dim=0"), "n_dim=0; it must be a whole number"),
            (
                (*QUICK, "policy=mse", "loss._target_=ibc.losses.DenoisingScoreMatching"),
                "MSEPolicy has not",
            ),
            ((*QUICK, "device=abacus"), "device=abacus cannot be used here"),
            ((*QUICK, "policy._target_=os.system"), "cannot build policy (system)"),
            ((*QUICK, "obs_horizon=0"), "horizons are at least 1"),
            ((*QUICK, "optimizer.lr=abc"), "cannot build"),
            ((*QUICK, "optimizer.lr=-1"), "cannot build optimizer (Adam): Invalid learning rate"),
            ((*QUICK, "+optimizer.lrr=1"), "cannot build optimizer"),
            ((*QUICK, "network.width=-5"), "network.width=-5; it must be at least 1"),
            ((*QUICK, "trainer.batch_size=0"), "batch_size=0; it must be at least 1"),
            ((*QUICK, "seed=-1"), "seed=-1; it must be at least 0"),
            ((*QUICK, "data.num_episodes=0"), "num_episodes=0; it must be at least 1"),
            ((*QUICK, "policy=mse", "policy.dropout=1.5"), "the loss cannot be computed: dropout"),
            ((*QUICK, "loss=unrolled", "loss.num_steps=0"), "num_steps=0; it must be above 0"),
            ((*QUICK, "loss=denoising", "loss.num=0"), "num=0; it must be above 0"),
            (
                (*QUICK, "policy=implicit", "loss.reference_size=0"),
                "reference_size=0; it must be at least 1",
            ),
            (
                (*QUICK, "policy=implicit", "loss=info_nce"),
                "loss=InfoNCE trains no proposal, at which the search starts",
            ),
            ((*QUICK, "encoder.random_shift_pixels=-3"), "both must be at least 0"),
            ((*QUICK, "num_execute_steps=9"), "num_execute_steps=9; the policy's chunks have 1"),
            ((*QUICK, "validation.measure=luck"), "measure=luck; allowed: loss, action_error"),
            ((*QUICK, "validation.measure=return"), "return needs validation.closed_loop=20"),
            ((*QUICK, "validation.measure=loss"), "loss needs held-out episodes: data.holdout=0.1"),
            (
                (*QUICK, "policy=mse", "validation.measure=rank", "data.holdout=0.5"),
                "validation.measure=rank; a MSEPolicy has none",
            ),
            ((*QUICK, "~validation"), "a key of the command cannot be removed"),
            ((*QUICK, "seed=null"), "seed=null; it must be given"),
            (("data.obs_names=state",), "data.obs_names=state; it must be a list, [A, B]"),
            ((*QUICK, "validation.patience=0"), "patience=0; it must be at least 1"),
            ((*QUICK, "validation.patience=2"), "validation.patience=2 needs measures"),
            (
                ("data.path=x.npz", "validation.closed_loop=5"),
                "validation.closed_loop=5 needs an environment",
            ),
            (
                (*QUICK, "policy=implicit_noise_conditioned", "sampler=dfo"),
                "sampler=... has no effect",
            ),
            ((*QUICK, "policy=mse", "network.spectral_norm=true"), "there is no key"),
            ((*QUICK, "loss=denoising", "negatives=uniform"), "negatives=... has no effect"),
            ((*QUICK, "data.obs_names=[]"), "data.obs_names is empty"),
            ((*QUICK, "+foo=1"), "there is no key 'foo' here"),
            ((*QUICK, "+data.obs_name=[a]"), "did you mean obs_names?"),
            ((*QUICK, "task=door-human"), "task=door-human is of ibc/AdroitHandDoor-v1"),
            ((*QUICK, "evaluation.first_seed=99999999999999999999"), "it must be at most"),
            ((*QUICK, "env.own_option=3"), "add it by +env.own_option="),
            ((*QUICK, "env=particle", "env.success_key=won"), "add it by +env.success_key="),
            ((*QUICK, "seeed=3"), "there is no key 'seeed' here; did you mean seed?"),
            (
                (*QUICK, "trainer={num_step:3}"),
                "there is no key 'trainer.num_step' here; did you mean",
            ),
            ((*QUICK, "env.expert={std:3}"), "add it by +env.expert.std="),
            (
                (*QUICK, "policy.sampler.num_candidate=3"),
                "did you mean policy.sampler.num_candidates?",
            ),
            (
                (*QUICK, "policy=nearest", "encoder.num_gates=3"),
                "has no effect: policy=nearest has no encoder",
            ),
            ((*QUICK, "policy=null"), "a group was set to null; give one of its options"),
            (("--experiment", "x"), "values are given as experiment=x"),
            ((*QUICK, "trainer.num_step=3"), "did you mean trainer.num_steps?"),
            ((*QUICK, "logger=wandb", "wandb.mode=loud"), "allowed: offline, online, disabled"),
            ((*QUICK, "evaluation.num_episodes=0"), "num_episodes=0; it must be at least 1"),
            (
                (*QUICK, "data.obs_names=[smell]"),
                "there is no observation smell; there are pos_agent",
            ),
        ],
    )
    def test_refusals(self, cli, arguments, message):
        assert_refused(cli("train", *arguments), message)

    def test_an_override_that_is_taken_by_way_of_another_part(self, cli, tmp_path):
        """Negatives are the loss's, which is the policy's; a part of a part counts as the part."""
        parts = ("loss=info_nce", "negatives=uniform", "network.width=8", "sampler=dfo")
        few = ("policy.sampler.num_candidates=16", "trainer.num_steps=2")
        assert cli("train", *self.QUICK, *parts, *few)[0] == 0

    def test_a_run_folder_in_use(self, cli, trained):
        result = cli("train", *self.QUICK, f"run_dir={trained}/run")
        assert_refused(result, "continue it by resume=true")

    def test_data_of_another_task(self, cli, trained):
        data = f"data.path={trained}/data/particle_2d_20"
        result = cli("train", *self.QUICK, data, "env.n_dim=3")
        assert_refused(result, "in the data and float32 (3,) in Particle-v0")
        names = "data.obs_names=[pos_agent]"
        result = cli(
            "train",
            *self.QUICK,
            data,
            names,
            "env.id=Pendulum-v1",
            "~env.n_dim",
            "+env.success_return=0",
        )
        assert_refused(result, "Pendulum-v1 has state")


def test_demonstrations_are_looked_for_before_any_are_collected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "data/mine"
    mine.mkdir(parents=True)
    config = compose("train", ["env=particle", "data.path=mine"])
    assert train_command.demonstrations(config).resolve() == mine


def test_demonstrations_that_another_process_has_collected_since_are_used(tmp_path, monkeypatch):
    """Found by the campaign: ``ibc collect`` finished between a look at the folder and the first step of collecting."""
    config = compose(
        "train", ["env=particle", f"data.path={tmp_path}/demos", "data.num_episodes=1"]
    )
    collect = train_command.collect_demonstrations

    def late(*args, **kwargs):
        collect(*args, **kwargs)
        collect(*args, **kwargs)

    monkeypatch.setattr(train_command, "collect_demonstrations", late)
    assert train_command.demonstrations(config) == tmp_path / "demos"
    assert len(list(read_episodes(tmp_path / "demos"))) == 1
