"""A network as a timm model: for detectors, segmenters and whatever else is built on timm's interfaces.

Source: github.com/huggingface/pytorch-image-models: efficientnet.py and mobilenetv3.py hold the classes that are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, assert_never, cast

import numpy as np
import torch
from torch import nn

from hwnas.core.errors import InputError, quoted
from hwnas.core.graphs import array_shapes, check_array_shapes
from hwnas.core.layers import ConvBnAct, MBConv, SepConv, make_divisible
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import BatchNorm
from hwnas.core.timm_layout import TimmBlock, TimmLayout, timm_layout
from hwnas.nn.build import initialise

_NEVER_DILATED = 2**30
_MOBILENET_V3_REDUCTION = 32  # its constructor dilates from there on, and cannot be told otherwise
_BEHIND_FEATURES = ("conv_head.", "bn2.", "classifier.")


def to_timm(
    network: NetworkSpec, arrays: Mapping[str, np.ndarray] | None = None, features_only: bool = False
) -> nn.Module:
    """The network as timm's EfficientNet, or as its MobileNetV3 where the classifier has a hidden layer.

    Args:
        network: stem ConvBnAct of stride 2; ConvBnAct, MBConv and SepConv blocks; Classifier.
        arrays: its weights, copied; None for those of `hwnas.nn.build.initialise` with seed 0.
        features_only: whether to make timm's feature extractor: it returns the maps before each stride and the last
            one, as a list, and has `feature_info` with channels and reductions; no head, no classifier.

    Returns:
        A module on the CPU in training mode; its outputs are those of `build(network)`. torch's global random state is
        neither read nor moved.

    Raises:
        InputError: timm cannot express a node (named), or the arrays are not the network's.
    """
    layout = timm_layout(network)
    with torch.random.fork_rng(devices=[]):
        model = _made(network, layout, features_only)
    initialise(model, 0)
    kept = {ours: theirs for ours, theirs in layout.names.items() if not _is_behind(theirs, features_only)}
    for operation in lower(network).operations:
        if isinstance(operation.primitive, BatchNorm) and f"{operation.name}.weight" in kept:
            module = model.get_submodule(kept[f"{operation.name}.weight"].rpartition(".")[0])
            cast(nn.BatchNorm2d, module).eps = operation.primitive.eps
    if arrays is not None:
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        check_array_shapes(array_shapes(lower(network)), shapes)
        state = model.state_dict()
        with torch.no_grad():
            for ours, theirs in kept.items():
                state[theirs].copy_(torch.tensor(arrays[ours]).reshape(state[theirs].shape))
    return model


def _made(network: NetworkSpec, layout: TimmLayout, features_only: bool) -> nn.Module:
    """A model of timm's right class and shape."""
    from timm.models.efficientnet import EfficientNet, EfficientNetFeatures
    from timm.models.mobilenetv3 import MobileNetV3, MobileNetV3Features

    stem, classifier, head = layout.stem, layout.classifier, layout.head
    hidden = classifier.hidden_channels
    _check_stem(network, stem, pooled_head=bool(hidden))
    arguments: dict[str, Any] = {
        "block_args": [[_block_args(block) for block in stack] for stack in layout.stacks],
        "in_chans": network.input_shape[0],
        "stem_size": stem.out_channels,
        "fix_stem": True,
        "act_layer": _activation(stem.activation),
        "norm_layer": nn.BatchNorm2d,
        "round_chs_fn": int,  # widths are final
    }
    if features_only:
        count = 1 + sum(stack[0].layer.stride > 1 for stack in layout.stacks)
        of_class = MobileNetV3Features if hidden else partial(EfficientNetFeatures, stem_kernel_size=stem.kernel)
        features: nn.Module = of_class(**arguments, out_indices=tuple(range(count)), output_stride=_NEVER_DILATED)
        return features
    arguments["num_classes"] = classifier.classes
    if hidden:
        _check_reduction(layout)
        mobile: nn.Module = MobileNetV3(**arguments, num_features=hidden, head_bias=classifier.hidden_bias)
        mobile.act2 = _activation(classifier.activation)()
        return mobile
    model: nn.Module = EfficientNet(
        **arguments,
        num_features=head.out_channels if head else 0,
        stem_kernel_size=stem.kernel,
        output_stride=_NEVER_DILATED,
    )
    if head:
        model.get_submodule("bn2").act = _activation(head.activation)()
    return model


def _block_args(block: TimmBlock) -> dict[str, Any]:
    """One block as timm's builder takes it."""
    layer, channels = block.layer, block.in_channels
    if layer.kernel % 2 == 0 or layer.stride not in (1, 2):
        raise InputError(f"node {quoted(block.name)}: timm's blocks have odd kernels and a stride of 1 or 2")
    common = {"out_chs": layer.out_channels, "stride": layer.stride, "act_layer": _activation(layer.activation)}
    match layer:
        case ConvBnAct(kernel=kernel, groups=groups):
            return {
                **common,
                "block_type": "cn",
                "kernel_size": kernel,
                "group_size": 0 if groups == 1 else channels // groups,
            }
        case SepConv(kernel=kernel):
            return {**common, "block_type": "dsa", "dw_kernel_size": kernel, "pw_act": True, "noskip": True}
        case MBConv(kernel=kernel):
            common |= {"dw_kernel_size": kernel, "noskip": not layer.residual, **_squeeze(layer)}
            if layer.expansion == 1 and not layer.expand_always:
                return {**common, "block_type": "ds"}
            middle = layer.middle_channels(channels)
            if make_divisible(middle) != middle:
                raise InputError(
                    f"node {quoted(block.name)}: timm rounds the middle width {middle} to {make_divisible(middle)}"
                )
            return {**common, "block_type": "ir", "exp_ratio": middle / channels}
        case _:
            assert_never(layer)


def _squeeze(layer: MBConv) -> dict[str, Any]:
    from timm.models._efficientnet_blocks import SqueezeExcite

    if not layer.se_channels:
        return {}
    activation, gate = _activation(layer.se_activation), _activation(layer.se_gate)
    return {
        "se_layer": partial(SqueezeExcite, rd_channels=layer.se_channels, force_act_layer=activation, gate_layer=gate)
    }


def _check_stem(network: NetworkSpec, stem: ConvBnAct, pooled_head: bool) -> None:
    if stem.stride != 2 or stem.groups != 1 or stem.kernel % 2 == 0 or (pooled_head and stem.kernel != 3):
        raise InputError(
            f"node {quoted(network.nodes[0].name)}: a timm model begins with an ungrouped convolution of stride 2 and "
            f"kernel {3 if pooled_head else '3, 5, …'}, not stride {stem.stride}, kernel {stem.kernel}, {stem.groups} "
            "groups"
        )


def _check_reduction(layout: TimmLayout) -> None:
    reduction = 2
    for stack in layout.stacks:
        reduction *= stack[0].layer.stride
        if reduction > _MOBILENET_V3_REDUCTION:
            raise InputError(
                f"node {quoted(stack[0].name)} shrinks the map {reduction}-fold; timm's MobileNetV3 (a hidden layer in "
                f"the classifier) dilates instead beyond {_MOBILENET_V3_REDUCTION}"
            )


def _activation(kind: str) -> type[nn.Module]:
    """The class that timm has for an activation; it takes `inplace`."""
    from timm.layers import get_act_layer

    return cast(type[nn.Module], get_act_layer(kind)) if kind else nn.Identity


def _is_behind(theirs: str, features_only: bool) -> bool:
    return features_only and theirs.startswith(_BEHIND_FEATURES)
