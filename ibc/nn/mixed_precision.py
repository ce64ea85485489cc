"""The layers before and after layers in bfloat16: an action's last digits and small differences of energies survive."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

#: Rows that are widened at a time on a CPU, and stay in its cache; for as many, a convolution is the faster product.
ROWS = 4096


def narrowing_linear(
    x: Float[Tensor, "B N A"],
    weight: Float[Tensor, "W A"],
    shift: Float[Tensor, "B 1 W"],
    dtype: torch.dtype,
) -> Float[Tensor, "B N W"]:
    """``x @ weight.T + shift`` in a narrower ``dtype``, rounded once: everything that is added has twice its digits.

    Each number is the sum of two of that type, so that this is one product in it: cheaper than a sum in full precision
    that is rounded afterwards, since the result, of which there is much more than of x, is written once.
    """
    if dtype == x.dtype:
        return F.linear(x, weight) + shift
    high, low = two_parts(x, dtype)
    rows, fine_rows = (part.T.expand(len(shift), -1, -1) for part in two_parts(weight, dtype))
    ones = x.new_ones((), dtype=dtype).expand(*x.shape[:-1], 2)
    return torch.bmm(
        torch.cat([high, low, high, ones], -1),
        torch.cat([rows, rows, fine_rows, *two_parts(shift, dtype)], 1),
    )


def two_parts(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two numbers of a narrower type whose sum is x to twice its digits; the first carries the gradient."""
    rounded = x.to(dtype)
    return rounded, (x.detach() - rounded.detach()).to(dtype)


def dense(
    x: Float[Tensor, "B N W"], weight: Float[Tensor, "V W"], bias: Float[Tensor, " V"]
) -> Float[Tensor, "B N V"]:
    """``x @ weight.T + bias``.

    Many rows of bfloat16 on a CPU are the pixels of an image that is convolved: oneDNN then adds the bias to the
    sums, while ``F.linear`` first writes it to every row of the result.
    """
    if x.dtype != torch.bfloat16 or x.device.type != "cpu" or len(x) * x.shape[1] < ROWS:
        return F.linear(x, weight, bias)
    image = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)
    convolved = F.conv2d(image, weight[:, :, None, None], bias)
    return convolved.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def widening_linear(
    h: Float[Tensor, "B N W"], weight: Float[Tensor, "K W"], bias: Float[Tensor, " K"]
) -> Float[Tensor, "B N K"]:
    """``h @ weight.T + bias`` in the precision of the weights; where h is narrower, its gradients are as narrow."""
    if h.dtype == weight.dtype:
        return F.linear(h, weight, bias)
    out: Tensor = _WideningLinear.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    return out


class _WideningLinear(torch.autograd.Function):
    """Without a copy of all of h in full precision, forward or backward."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(h, weight)
        rows = h.flatten(0, -2)
        parts = torch.split(rows, ROWS) if h.device.type == "cpu" else (rows,)
        wide = [F.linear(part.to(weight.dtype), weight, bias) for part in parts]
        return torch.cat(wide).reshape(*h.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h, weight = ctx.saved_tensors
        narrow = gradient.to(h.dtype)
        of_weight = narrow.flatten(0, -2).T @ h.flatten(0, -2)
        of_bias = gradient.flatten(0, -2).sum(0)
        return narrow @ weight.to(h.dtype), of_weight.to(weight.dtype), of_bias
