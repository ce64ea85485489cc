"""The fast path computes what the formula says: in full precision to rounding, in reduced precision nearly."""

import pytest
import torch

from ibc.nn import head_kernels
from ibc.nn.energy_head import EnergyHead
from ibc.nn.head_autograd import HeadEnergy
from ibc.nn.head_kernels import HeadKernel
from ibc.nn.workers import in_parallel

FORMS = [
    {"kind": "scalar", "num_outputs": 1},
    {"kind": "quadratic", "num_outputs": 5},
    {"kind": "reconstruction", "num_outputs": 1},
]
#: Observations and candidates: one block, several observations a block, one observation in several blocks.
SHAPES = [(3, 5), (9, 7), (2, 300)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of a few rows and work for two threads, so that every way of splitting is met."""
    monkeypatch.setattr(head_kernels, "BLOCK_BYTES", 16 * 32 * 8)
    monkeypatch.setattr(head_kernels, "WORTH_A_THREAD", 16)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def make(form, shape, dtype=torch.float64):
    torch.manual_seed(0)
    head = EnergyHead(6, 3, width=32, num_blocks=2, normed=False, **form).to(dtype)
    for p in head.parameters():
        torch.nn.init.normal_(p, std=0.2)
    context = head.dense_features(torch.randn(shape[0], 6, dtype=dtype)).unsqueeze(1)
    return head, context, torch.randn(*shape, 3, dtype=dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
class TestFullPrecision:
    def test_energy_and_gradient(self, form, shape):
        head, context, action = make(form, shape)
        weights = head.weights()
        kernel = HeadKernel(weights, torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(
                kernel.energy(context, action), weights.energy(context, action)
            )
            torch.testing.assert_close(
                kernel.gradient(context, action), weights.gradient(context, action)
            )

    def test_written_out_gradient_is_the_derivative(self, form, shape):
        head, context, action = make(form, shape)
        action.requires_grad_()
        automatic = torch.autograd.grad(head.weights().energy(context, action).sum(), action)[0]
        torch.testing.assert_close(head.weights().gradient(context, action), automatic)

    def test_gradients_of_everything(self, form, shape):
        head, context, action = make(form, shape)
        action.requires_grad_()
        weights = head.weights()
        inputs = [action, *head.parameters()]
        upstream = torch.randn(*shape, dtype=torch.float64)
        fast = HeadEnergy.apply(weights, torch.float64, context, action, *weights.tensors)
        slow = weights.energy(context, action)
        torch.testing.assert_close(fast, slow)
        found = torch.autograd.grad(fast, inputs, upstream, retain_graph=True)
        torch.testing.assert_close(
            found, torch.autograd.grad(slow, inputs, upstream, retain_graph=True)
        )
        again = torch.autograd.grad(fast, inputs, upstream, retain_graph=True)
        torch.testing.assert_close(
            again, found
        )  # the kernel's storage is used up; the result is not

    def test_second_derivatives(self, form, shape):
        """A penalty on the slope, as Langevin training has it, through the fast energy."""
        head, context, action = make(form, shape)
        action.requires_grad_()
        weights = head.weights()

        def penalty(energy):
            (slope,) = torch.autograd.grad(energy.sum(), action, create_graph=True)
            return torch.autograd.grad(
                slope.square().sum(), list(head.parameters()), allow_unused=True, retain_graph=True
            )

        fast = HeadEnergy.apply(weights, torch.float64, context, action, *weights.tensors)
        torch.testing.assert_close(penalty(fast), penalty(weights.energy(context, action)))


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_is_near(form):
    """Eight bits of mantissa: a few per cent at this size, never a wrong formula."""
    head, context, action = make(form, (4, 40), torch.float32)
    weights = head.weights()
    kernel = HeadKernel(weights, torch.bfloat16)

    def distance(found, exact):
        return ((found - exact).norm() / (exact - exact.mean()).norm()).item()

    with torch.no_grad():
        exact = weights.energy(context, action)
        assert 0 < distance(kernel.energy(context, action), exact) < 0.03
        exact = weights.gradient(context, action)
        assert 0 < distance(kernel.gradient(context, action), exact) < 0.06
    fast = HeadEnergy.apply(weights, torch.bfloat16, context, action, *weights.tensors)
    parameters = list(head.parameters())
    upstream = torch.randn(4, 40)
    found = torch.autograd.grad(fast, parameters, upstream, retain_graph=True)
    exact = torch.autograd.grad(weights.energy(context, action), parameters, upstream)
    for f, e in zip(found, exact, strict=True):
        if e.numel() > 1:
            assert (f - e).norm() < 0.1 * e.norm() + 1e-4


def test_training_sums_are_the_same_every_time():
    """Threads share the work by a fixed plan, so a resumed run ends with the same weights."""
    head, context, action = make(FORMS[0], (40, 9), torch.float32)

    def gradients():
        weights = head.weights()
        energy = HeadEnergy.apply(weights, torch.bfloat16, context, action, *weights.tensors)
        return torch.autograd.grad(
            energy.square().sum(), list(head.parameters()), retain_graph=True
        )

    first = gradients()
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))


def test_workers_leave_the_callers_threads_alone():
    seen = in_parallel(lambda _: (torch.get_num_threads(), torch.is_grad_enabled()), [0, 1])
    assert seen == [(1, False), (1, False)]
    assert torch.get_num_threads() == 2
    assert torch.is_grad_enabled()


def test_errors_in_workers_reach_the_caller():
    def fail(share):
        raise ValueError(share)

    with pytest.raises(ValueError, match="0"):
        in_parallel(fail, [0, 1])
