"""Angles enter encoders as cosine and sine."""

import math

import pytest
import torch

from ibc.errors import UserError
from ibc.nn import ObsEncoder
from ibc.spec import ObsField, Spec


def encoder_of(angles):
    spec = Spec(
        obs={"state": ObsField((3,), "float32"), "wrist": ObsField((1,), "float32")},
        obs_horizon=2,
        action_dim=1,
        action_horizon=1,
        action_low=(-1.0,),
        action_high=(1.0,),
    )
    encoder = ObsEncoder(num_gates=0, angles=angles)
    encoder.build(spec)
    return encoder


def test_a_full_turn_changes_nothing_and_other_entries_stay():
    encoder = encoder_of({"state": [1]})
    assert encoder.feature_size == 2 * (3 + 1 + 1)
    obs = {"state": torch.randn(5, 2, 3), "wrist": torch.randn(5, 2, 1)}
    turned = {**obs, "state": obs["state"] + torch.tensor([0.0, 2 * math.pi, 0.0])}
    features = encoder(obs)
    torch.testing.assert_close(features, encoder(turned), atol=1e-5, rtol=0)
    angle = obs["state"][..., 1]
    expected = torch.stack(
        [obs["state"][..., 0], angle.cos(), obs["state"][..., 2], angle.sin()], -1
    )
    torch.testing.assert_close(features[:, :8], expected.flatten(1))
    torch.testing.assert_close(features[:, 8:], obs["wrist"].flatten(1))


def test_normalized_after_that():
    encoder = encoder_of({"wrist": [0]})
    angle = torch.linspace(0, 100 * math.pi, 5001)[:-1].unsqueeze(1)
    encoder.fit({"state": torch.randn(5000, 3), "wrist": angle})
    wrist = encoder.normalizers[1]
    torch.testing.assert_close(wrist.mean, torch.zeros(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(wrist.scale, torch.full((2,), 0.5**0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("angles", [{"state": [3]}, {"elbow": [0]}, {"state": [-1]}])
def test_no_such_entry(angles):
    with pytest.raises(UserError, match=r"encoder.angles=.*state, wrist"):
        encoder_of(angles)


@pytest.mark.unchecked
@pytest.mark.parametrize("angles", [[0], {"state": 1}])
def test_angles_without_names_are_refused(angles):
    with pytest.raises(UserError, match="it is {NAME: .ENTRY"):
        encoder_of(angles)
