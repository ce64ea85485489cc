"""Encoding of sets: what must not matter, and what must."""

import numpy as np
import pytest
import torch
from conftest import built

from ibc.errors import UserError
from ibc.nn import DeepSetsEncoder, ObsEncoder
from ibc.spec import ObsField, Spec

N, HORIZON = 7, 2


def spec_of(**shapes):
    return Spec(
        obs={name: ObsField(shape, "float32") for name, shape in shapes.items()},
        action_dim=2,
        obs_horizon=HORIZON,
        action_horizon=1,
        action_low=(-1.0, -1.0),
        action_high=(1.0, 1.0),
    )


SPEC = spec_of(stick=(3,), pieces=(N, 2), pieces_mask=(N,))


def make_obs(batch=4):
    count = torch.tensor([3, 7, 1, 0])[:batch]
    mask = (torch.arange(N) < count[:, None]).float()[:, None].expand(-1, HORIZON, -1)
    pieces = torch.randn(batch, HORIZON, N, 2) * mask[..., None]
    return {"stick": torch.randn(batch, HORIZON, 3), "pieces": pieces, "pieces_mask": mask}


@pytest.fixture(params=[0, 8])
def encoder(request):
    torch.manual_seed(0)
    made = built(DeepSetsEncoder(set_width=16, num_gates=request.param), SPEC).eval()
    # As fitted, with a shift: padding must not come to matter by standardization.
    made.fit({name: value.flatten(0, 1) + (name == "pieces") for name, value in make_obs().items()})
    return made


def test_order_does_not_matter(encoder):
    obs = make_obs()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    shuffled = {
        "stick": obs["stick"],
        "pieces": obs["pieces"][:, :, order],
        "pieces_mask": obs["pieces_mask"][:, :, order],
    }
    assert not torch.equal(shuffled["pieces"], obs["pieces"])
    torch.testing.assert_close(encoder(shuffled), encoder(obs))


def test_what_does_not_exist_does_not_matter(encoder):
    obs = make_obs()
    gone = obs["pieces_mask"][..., None] == 0
    rng = torch.where(gone, 100.0, obs["pieces"])
    torch.testing.assert_close(encoder({**obs, "pieces": rng}), encoder(obs))


@pytest.mark.parametrize("time", range(HORIZON))
def test_what_exists_matters(encoder, time):
    obs = make_obs()
    moved = {**obs, "pieces": obs["pieces"].clone()}
    moved["pieces"][:, time, 0] += 0.3
    changed = (encoder(moved) - encoder(obs)).abs().amax(-1)
    assert (changed[:3] > 1e-4).all()
    assert changed[3] == 0, "the empty set has nothing to move"


def test_pooling_by_hand(encoder):
    obs = make_obs()
    features = encoder(obs)
    assert features.shape == (4, encoder.feature_size)
    rest = ObsEncoder._parts(encoder, obs)
    torch.testing.assert_close(features[:, : rest.shape[1]], rest)
    for b, count in enumerate([3, 7, 1, 0]):
        rows = []
        for i in range(count):
            steps = [encoder.set_normalizers[0](obs["pieces"][b, t, i]) for t in range(HORIZON)]
            rows.append(encoder.each[0](torch.cat([*steps, rest[b]])))
        zeros = torch.zeros(16)
        mean = torch.stack(rows).mean(0) if rows else zeros
        most = torch.stack(rows).amax(0) if rows else zeros
        expected = torch.cat([mean, most, torch.tensor([count / N])])
        pooled = features[b, rest.shape[1] : len(features[b]) - encoder.num_gates]
        torch.testing.assert_close(pooled, expected)


def test_statistics_are_those_of_what_exists():
    encoder = built(DeepSetsEncoder(set_width=4), SPEC)
    obs = {name: value.flatten(0, 1) for name, value in make_obs().items()}
    encoder.fit(obs)
    there = np.concatenate(
        [p[m == 1] for p, m in zip(obs["pieces"].numpy(), obs["pieces_mask"].numpy(), strict=True)]
    )
    assert encoder.set_normalizers[0].mean.numpy() == pytest.approx(there.mean(0), abs=1e-5)
    assert encoder.set_normalizers[0].scale.numpy() == pytest.approx(there.std(0), abs=1e-5)


def test_every_weight_learns():
    encoder = built(DeepSetsEncoder(set_width=16), SPEC).train()
    encoder(make_obs()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_a_set_alone_and_none_at_all():
    alone = built(DeepSetsEncoder(set_width=5), spec_of(things=(N, 3), things_mask=(N,)))
    obs = {"things": torch.randn(2, HORIZON, N, 3), "things_mask": torch.ones(2, HORIZON, N)}
    assert alone(obs).shape == (2, 11)
    # A matrix without a mask is one vector.
    none = built(DeepSetsEncoder(set_width=5), spec_of(matrix=(N, 3)))
    assert none({"matrix": torch.randn(2, HORIZON, N, 3)}).shape == (2, HORIZON * N * 3)


def test_nonsense_is_refused():
    with pytest.raises(UserError, match="set_width=0; it must be above 0"):
        built(DeepSetsEncoder(set_width=0), SPEC)
