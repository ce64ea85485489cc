"""Modules as ONNX graphs, with the gradients that they compute inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor, nn

from ibc.errors import UserError

#: Derivatives that ONNX has no operators for; they are written in terms of others.
_DERIVATIVES = (
    "silu_backward",
    "gelu_backward",
    "sigmoid_backward",
    "tanh_backward",
    "threshold_backward",
    "native_layer_norm_backward",
    "_softmax_backward_data",
    "_log_softmax_backward_data",
    "native_group_norm_backward",
)


def to_onnx(
    module: nn.Module, inputs: Sequence[Tensor], input_names: Sequence[str], names: Sequence[str]
) -> bytes:
    """Trace a module: shapes are those of ``inputs``, and so are choices that depend on values.

    Automatic derivatives are operations like others here, since what is traced is what torch computes.

    Args:
        module: in evaluation mode; returns a tensor or a tuple of tensors.
        inputs: as it is called with.
        input_names: of the graph's inputs.
        names: of its outputs.

    Raises:
        UserError: packages are missing, or the module does something that ONNX cannot express.
    """
    from torch._decomp import get_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx

    require_packages()
    operations = [getattr(torch.ops.aten, name) for name in _DERIVATIVES]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every missing package
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            rules: Any = get_decompositions(operations)
            rules[torch.ops.aten.convolution_backward.default] = _convolution_backward
            rules[torch.ops.aten.searchsorted.Tensor] = _search_sorted
            graph = make_fx(module, decomposition_table=rules)(*inputs)
            program = torch.onnx.export(
                graph,
                tuple(inputs),
                input_names=list(input_names),
                output_names=list(names),
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        lines = [line for line in str(error).splitlines() if "No ONNX function" in line]
        reason = " ".join((lines or [str(error)])[0].split())[:200]
        raise UserError(f"{type(module).__name__} cannot be written as ONNX: {reason}") from error
    assert program is not None
    return cast(bytes, program.model_proto.SerializeToString())


def _convolution_backward(
    gradient: Tensor,
    given: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor, None, None]:
    """The derivative of a convolution by its input, which is a convolution of the other kind."""
    if output_mask[1] or output_mask[2]:
        raise RuntimeError("a graph has derivatives by actions only, not by weights")
    extra = [0] * len(stride)
    if not transposed:  # several lengths of input lead to the same length of output
        for i, size in enumerate(weight.shape[2:]):
            covered = (gradient.shape[2 + i] - 1) * stride[i] - 2 * padding[i]
            extra[i] = given.shape[2 + i] - covered - dilation[i] * (size - 1) - 1
    by_input = torch.ops.aten.convolution(
        gradient, weight, None, stride, padding, dilation, not transposed, extra, groups
    )
    return by_input, None, None


def _search_sorted(boundaries: Tensor, values: Tensor, **_: object) -> Tensor:
    """How many boundaries (..., K) are below each value (..., M)."""
    return (boundaries.unsqueeze(-2) < values.unsqueeze(-1)).sum(-1)


def require_packages() -> None:
    """Check that the packages of this are there.

    Raises:
        UserError: naming those that are not.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {' and '.join(missing)}: pip install ibc[export]")
