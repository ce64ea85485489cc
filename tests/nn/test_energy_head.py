"""The written-out gradient is the derivative of the energy; reduced precision is near full precision."""

import pytest
import torch

from ibc.nn import EnergyHead

FORMS = [
    {"kind": "scalar", "num_outputs": 1},
    {"kind": "quadratic", "num_outputs": 5},
    {"kind": "reconstruction", "num_outputs": 1},
]


def make(form, dtype=torch.float64, num_blocks=2):
    torch.manual_seed(0)
    head = EnergyHead(6, 3, width=32, num_blocks=num_blocks, normed=False, **form).to(dtype)
    for p in head.parameters():
        torch.nn.init.normal_(p, std=0.2)
    context = head.dense_features(torch.randn(4, 6, dtype=dtype)).unsqueeze(1)
    return head, context, torch.randn(4, 40, 3, dtype=dtype)


@pytest.mark.parametrize("num_blocks", [0, 1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_written_out_gradient_is_the_derivative(form, num_blocks):
    head, context, action = make(form, num_blocks=num_blocks)
    action.requires_grad_()
    weights = head.weights()
    (automatic,) = torch.autograd.grad(
        weights.energy(context, action).sum(), action, create_graph=True
    )
    written = weights.gradient(context, action)
    torch.testing.assert_close(written, automatic)
    inputs = [action, *head.parameters()]
    torch.testing.assert_close(
        *[
            torch.autograd.grad(
                gradient.square().sum(), inputs, materialize_grads=True, retain_graph=True
            )
            for gradient in (written, automatic)
        ]
    )


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_is_near(form):
    """Eight bits of mantissa: a few per cent at this size, never a wrong formula."""
    head, context, action = make(form, torch.float32)
    weights = head.weights()
    reduced = weights.to(torch.bfloat16)

    def distance(found, exact):
        return ((found - exact).norm() / (exact - exact.mean()).norm()).item()

    exact, found = weights.energy(context, action), reduced.energy(context, action)
    assert found.dtype == torch.float32
    assert 0 < distance(found, exact) < 0.03
    slope = weights.gradient(context, action)
    assert 0 < distance(reduced.gradient(context, action), slope) < 0.06
    parameters, upstream = list(head.parameters()), torch.randn(4, 40)
    by_reduced = torch.autograd.grad(found, parameters, upstream, retain_graph=True)
    by_exact = torch.autograd.grad(exact, parameters, upstream)
    for f, e in zip(by_reduced, by_exact, strict=True):
        if e.numel() > 1:
            assert (f - e).norm() < 0.1 * e.norm() + 1e-4
