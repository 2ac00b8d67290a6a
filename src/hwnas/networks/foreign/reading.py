"""Which reader knows a foreign file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, UnknownName, quoted
from hwnas.core.graphs import check_names, check_sizes
from hwnas.core.layers import Classifier
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import LARGEST_VALUE, Shape
from hwnas.networks.foreign.found import ForeignNetwork
from hwnas.networks.foreign.mit_json import read_mobilenet_v3, read_proxyless
from hwnas.networks.foreign.timm_arch import read_timm_arch
from hwnas.networks.pyramid_tree_file import read_pyramid_tree

Reader = Callable[[Any, Shape | None, int | None], ForeignNetwork]


def _read_tree(data: Any, input_shape: Shape | None, classes: int | None) -> ForeignNetwork:
    network = read_pyramid_tree(data)
    nodes = network.nodes if classes is None else (*network.nodes[:-1], Node("classifier", Classifier(classes)))
    fitted = NetworkSpec(input_shape or network.input_shape, nodes)
    return ForeignNetwork(fitted, "ProxylessNAS PyramidTreeNet JSON", {})


# Network JSON of MIT's HAN Lab by its field "name". A further kind is one more line.
BY_NAME: dict[str, Reader] = {
    "ProxylessNASNets": read_proxyless,
    "MobileNetV3": read_mobilenet_v3,
    "PyramidTreeNet": _read_tree,
}


def is_foreign(data: Any) -> bool:
    """Whether the content of a JSON or YAML file looks like a foreign network, whole or damaged.

    Networks and architectures of ours have "format" or "space".
    """
    if isinstance(data, list):
        return True
    ours = isinstance(data, Mapping) and ("format" in data or "space" in data)
    return isinstance(data, Mapping) and not ours and any(name in data for name in ("arch_def", "blocks", "first_conv"))


def read_foreign(data: Any, input_shape: Shape | None = None, classes: int | None = None) -> ForeignNetwork:
    """A network from the content of somebody else's file.

    Args:
        data: network JSON of ProxylessNAS, Once-for-All or MCUNet, or a timm `arch_def`: the bare list, or an object
            with it and the arguments of timm's model beside it.
        input_shape: (channels, height, width); None for the file's own, or 3x224x224 where it says nothing.
        classes: None for the file's own.

    Raises:
        FileFormatError: a field is missing or wrong, or says what no layer of ours does; names it by its place.
        InputError: the images are too small or too large for the network.
    """
    if input_shape is not None and (len(input_shape) != 3 or not all(0 < size < LARGEST_VALUE for size in input_shape)):
        raise InputError(f"images are (channels, height, width), not {quoted(input_shape)}")
    if isinstance(data, list) or (isinstance(data, Mapping) and "arch_def" in data):
        found = read_timm_arch(data, input_shape, classes)
    elif isinstance(data, Mapping) and isinstance(data.get("name"), str):
        name = data["name"]
        if name not in BY_NAME:
            raise UnknownName("kind of network in the file's field 'name'", name, BY_NAME)
        found = BY_NAME[name](data, input_shape, classes)
    else:
        raise FileFormatError(
            "expected network JSON with the fields 'name' and 'blocks', or a timm arch_def; the field 'name' is "
            f"missing or no text in {quoted(data)}"
        )
    graph = lower(found.network)
    check_names(graph)
    check_sizes(graph)
    return found
