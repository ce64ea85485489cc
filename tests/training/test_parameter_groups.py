"""Parts of a policy that learn at another rate, in training."""

import pytest
import torch
from torch import nn

from ibc.data import WindowDataset
from ibc.nn import BackboneEncoder, Module, ObsEncoder
from ibc.policies.baselines import MSEPolicy
from ibc.training import Trainer


class Net(Module):
    """A backbone of one layer."""

    def __init__(self) -> None:
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        return self.conv(image)


@pytest.mark.parametrize("scale", [0.1, 0.0])
def test_a_backbone_at_its_own_rate(spec, episodes, scale):
    """Steps of Adam are as long as the learning rate at first, whatever the gradient; frozen weights stay."""
    encoder = ObsEncoder(BackboneEncoder(Net(), num_points=3, lr_scale=scale))
    policy = MSEPolicy(spec, encoder=encoder)
    data = WindowDataset(episodes, spec, torch.device("cpu"))
    trainer = Trainer(policy, data, num_steps=2, batch_size=4, warmup_steps=0, schedule="constant")
    own = policy.encoder.image_encoders[0]
    backbone, head = own.network.module.conv.weight, own.points[0].weight
    before = backbone.clone(), head.clone()
    trainer.train_step()
    moved = (backbone - before[0]).abs().max().item(), (head - before[1]).abs().max().item()
    assert moved == pytest.approx((2e-3 * scale, 2e-3), rel=1e-2)
