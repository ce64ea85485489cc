"""Layers around bfloat16 ones: what they are given keeps its digits, what they return is rounded once or not at all."""

import pytest
import torch
import torch.nn.functional as F

from ibc.nn import mixed_precision
from ibc.nn.mixed_precision import ROWS, dense, narrowing_linear, widening_linear

LOW = torch.bfloat16
ROUNDING = torch.finfo(LOW).eps / 2


def numbers(*shape, scale=1.0):
    return (scale * torch.randn(*shape)).requires_grad_()


def test_narrowing_rounds_the_sum_and_nothing_before_it():
    torch.manual_seed(0)
    x, weight = numbers(4, 300, 3), numbers(16, 3)
    shift = (100 - F.linear(x.detach()[:, :1], weight.detach())).requires_grad_()  # nearly cancels
    exact = F.linear(x.double(), weight.double()) + shift.double()
    found = narrowing_linear(x, weight, shift, LOW)
    assert found.dtype == LOW
    summands = 100 + F.linear(x.abs(), weight.abs()).max().item()
    assert ((found - exact).abs() <= 1.01 * ROUNDING * exact.abs() + ROUNDING**2 * summands).all()
    upstream = torch.randn_like(exact).to(LOW)
    inputs = [x, weight, shift]
    for f, e in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(exact, inputs, upstream.double()),
        strict=True,
    ):
        assert f.dtype == torch.float32
        assert (f - e).norm() < 2 * ROUNDING * e.norm()


def test_full_precision_is_plain_arithmetic():
    x, weight, shift = numbers(2, 5, 3), numbers(8, 3), numbers(2, 1, 8)
    expected = F.linear(x, weight) + shift
    assert torch.equal(narrowing_linear(x, weight, shift, torch.float32), expected)
    bias = numbers(8)
    assert torch.equal(widening_linear(x, weight, bias), F.linear(x, weight, bias))
    assert torch.equal(dense(x, weight, bias), F.linear(x, weight, bias))


@pytest.mark.parametrize("rows", [7, ROWS + 3])
def test_dense_is_the_linear_layer(rows):
    torch.manual_seed(0)
    inputs = [
        t.detach().to(LOW).requires_grad_()
        for t in (numbers(2, rows, 16), numbers(24, 16), numbers(24))
    ]
    found, expected = dense(*inputs), F.linear(*(t.float() for t in inputs))
    assert found.shape == (2, rows, 24)
    assert found.is_contiguous()
    assert ((found - expected).abs() <= 1.01 * ROUNDING * expected.abs() + 1e-5).all()
    upstream = torch.randn_like(expected).to(LOW)
    for f, e in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream.float()),
        strict=True,
    ):
        assert (f - e).norm() < 4 * ROUNDING * e.norm()


def test_widening_is_exact_forward_and_rounded_backward(monkeypatch):
    monkeypatch.setattr(mixed_precision, "ROWS", 10)  # in parts, of which the last is smaller
    torch.manual_seed(0)
    h, weight, bias = (
        numbers(3, 9, 16).detach().to(LOW).requires_grad_(),
        numbers(2, 16),
        numbers(2),
    )
    found, exact = widening_linear(h, weight, bias), F.linear(h.float(), weight, bias)
    torch.testing.assert_close(found, exact)
    upstream, inputs = torch.randn_like(exact), [h, weight, bias]
    for f, e in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(exact, inputs, upstream),
        strict=True,
    ):
        assert f.dtype == e.dtype
        assert (f - e).norm() < 4 * ROUNDING * e.norm()


def test_derivatives_of_a_higher_order():
    h, weight, bias = numbers(2, 6, 4).detach().to(LOW).requires_grad_(), numbers(1, 4), numbers(1)
    (slope,) = torch.autograd.grad(
        widening_linear(h, weight, bias).square().sum(), h, create_graph=True
    )
    (found,) = torch.autograd.grad(slope.float().square().sum(), weight)
    h_wide = h.detach().float().requires_grad_()
    (slope,) = torch.autograd.grad(
        F.linear(h_wide, weight, bias).square().sum(), h_wide, create_graph=True
    )
    (exact,) = torch.autograd.grad(slope.square().sum(), weight)
    assert (found - exact).norm() < 8 * ROUNDING * exact.norm()
