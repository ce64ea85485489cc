"""A head's energies as one operation that can be differentiated, by kernels where one derivative is wanted."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from ibc.nn.energy_head import HeadWeights
from ibc.nn.head_kernels import HeadKernel


class HeadEnergy(torch.autograd.Function):
    """Energies whose gradients are the kernel's; differentiated twice, they are those of the plain formula."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: HeadWeights,
        dtype: torch.dtype,
        context: Tensor,
        action: Tensor,
        *_: Tensor,
    ) -> Tensor:
        """``*_`` are the weights' own tensors, named so that they receive gradients."""
        kernel = HeadKernel(weights, dtype)
        energy, storage = kernel.forward(context, action)
        ctx.save_for_backward(context, action, *weights.tensors)
        ctx.kernel, ctx.storage = kernel, storage
        ctx.kind = weights.kind
        return energy

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, ...]:
        """The kernel's way back once; the plain formula where a graph is wanted or the storage is used up."""
        (upstream,) = grad
        context, action, *tensors = ctx.saved_tensors
        storage, ctx.storage = ctx.storage, None
        if torch.is_grad_enabled() or storage is None:
            return None, None, *_plain_backward(ctx, upstream, context, action, tensors)
        to_context, to_action, sums = cast(HeadKernel, ctx.kernel).backward(
            context, action, storage, upstream
        )
        return None, None, to_context, to_action, *sums.tensors


def _plain_backward(
    ctx: Any, upstream: Tensor, context: Tensor, action: Tensor, tensors: list[Tensor]
) -> list[Tensor | None]:
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [context, action, *tensors]
        if not create_graph:
            inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        energy = HeadWeights(tuple(inputs[2:]), ctx.kind).energy(inputs[0], inputs[1])
        found = torch.autograd.grad(
            energy, [inputs[i] for i in wanted], upstream, create_graph=create_graph
        )
    gradients: list[Tensor | None] = [None] * len(inputs)
    for i, gradient in zip(wanted, found, strict=True):
        gradients[i] = gradient
    return gradients
