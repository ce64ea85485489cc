"""A folder of safetensors and JSON is a checkpoint like any other, with a card for people."""

import json

import pytest
import torch
from commands import assert_refused
from conftest import ROOT
from small import make_obs, row_noise

import ibc
from ibc.checkpoint import load_checkpoint
from ibc.export import save_folder
from ibc.export.model_card import card
from ibc.export.onnx import write_folder

CHECKPOINT = ROOT / "pretrained/particle_2d.pt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "policy"
    save_folder(load_checkpoint(CHECKPOINT), folder, license_name="apache-2.0")
    return folder


def test_it_is_the_same_policy(folder):
    first, second = (ibc.load_policy(path, device="cpu") for path in (CHECKPOINT, folder))
    obs = make_obs(first.spec)
    torch.testing.assert_close(
        first.act(obs, row_noise(0, 1, 2)), second.act(obs, row_noise(0, 1, 2)), rtol=0, atol=0
    )
    assert first.spec == second.spec


def test_a_policy_with_cameras_that_share_their_network(spec, tmp_path):
    from ibc.nn import ObsEncoder

    two = ibc.Spec(
        obs={name: ibc.ObsField((12, 16, 3), "uint8") for name in ("left", "right")},
        obs_horizon=1,
        action_dim=2,
        action_horizon=1,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )
    policy = ibc.ImplicitPolicy(two, ibc.MLPEnergy(ObsEncoder(share_cameras=True), width=8))
    policy.save(tmp_path / "policy.pt")
    save_folder(load_checkpoint(tmp_path / "policy.pt"), tmp_path / "folder")
    again = ibc.load_policy(tmp_path / "folder", device="cpu")
    obs = make_obs(two, 1)
    torch.testing.assert_close(policy.eval().act(obs, row_noise(0)), again.act(obs, row_noise(0)))
    text = (tmp_path / "folder/README.md").read_text()
    assert "not measured" in text
    assert "License: not stated" in text


def test_the_card_says_task_data_figures_command_and_license(folder):
    written = (folder / "README.md").read_text()
    for text in (
        "license: apache-2.0",
        "Particle-v0",
        "2000 episodes",
        "98%",
        "ibc evaluate",
        "pos_agent",
        'ibc.load_policy("FOLDER"))',
    ):
        assert text in written


def test_the_card_acts_as_was_measured():
    checkpoint = load_checkpoint(ROOT / "pretrained/push_t_states.pt")
    assert checkpoint.config["num_execute_steps"] == 8
    assert 'ibc.load_policy("FOLDER"), num_execute_steps=8)' in card(checkpoint)


def test_the_command_writes_it_once(cli, tmp_path, capsys):
    from ibc.cli.config import compose
    from ibc.cli.export import export

    output = f"output={tmp_path / 'policy'}"
    config = compose("export", [f"checkpoint={CHECKPOINT}", output, "format=safetensors"])
    export(config)
    assert "folder:" in capsys.readouterr().out
    with pytest.raises(ibc.UserError, match="exists"):
        export(config)
    with pytest.raises(ibc.UserError, match="format=pickle; allowed: onnx, safetensors"):
        export({**config, "format": "pickle"})


def test_the_command_heeds_what_it_is_told(cli, tmp_path):
    checkpoint, folder = f"checkpoint={CHECKPOINT}", "format=safetensors"
    changes = ("policy.sampler.num_candidates=8", "num_execute_steps=1")
    assert cli("export", checkpoint, "output=other", folder, *changes)[0] == 0
    found = load_checkpoint(tmp_path / "other")
    assert found.policy["sampler"]["num_candidates"] == 8
    assert found.config["num_execute_steps"] == 1
    policy = ibc.load_policy(tmp_path / "other", device="cpu")
    assert policy.sampler.num_candidates == 8
    assert "after training: not measured" in (tmp_path / "other/README.md").read_text()
    assert cli("export", checkpoint, "output=same", folder)[0] == 0
    assert "after training: 98%" in (tmp_path / "same/README.md").read_text()
    composed = cli("export", checkpoint, "output=c", folder, "compose=avoid_disk")
    assert_refused(composed, "holds a policy of its own, no composition")
    licensed = cli("export", checkpoint, "output=d", "license=mit")
    assert_refused(licensed, "license is for the card of format=safetensors")


def break_weights(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def cut_weights(folder):
    (folder / "model.safetensors").write_bytes(b"0")


def break_config(folder):
    (folder / "config.json").write_text("{")


def name_other_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config["policy"]["_target_"] = "os.system"
    (folder / "config.json").write_text(json.dumps(config))


def lose_the_weights(folder):
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_weights, "damaged"),
        (cut_weights, "damaged"),
        (break_config, "line 1"),
        (name_other_code, "may name classes"),
        (lose_the_weights, "no checkpoint"),
    ],
)
def test_what_is_damaged_or_names_other_code_is_refused(folder, tmp_path, damage, message):
    import shutil

    shutil.copytree(folder, tmp_path / "policy")
    damage(tmp_path / "policy")
    with pytest.raises(ibc.UserError, match=message):
        ibc.load_policy(tmp_path / "policy")


def test_nothing_else_is_touched(tmp_path):
    """Such as a collection under way, which has the name of its data set and this ending."""
    (tmp_path / "policy.partial").mkdir()
    (tmp_path / "policy.partial/data").write_bytes(b"1")
    write_folder(tmp_path / "policy", {"a": b"2"})
    assert (tmp_path / "policy.partial/data").read_bytes() == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy", "policy.partial"]
