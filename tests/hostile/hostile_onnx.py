"""ONNX files that would read other files, compute for ever, or are not what they seem."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attacks import Scene, attack
from hostile_arrays import hollow
from onnx import TensorProto, helper

MEASURE = ("measure", "net/evil.onnx", "--quiet", "--sessions", "2")
IMAGE = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 4])
SCORES = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 4])


def external(location: str, name: str = "w", **more: str) -> Any:
    """Four numbers that lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def add(*tensors: Any, nodes: tuple[Any, ...] = (), **others: Any) -> Any:
    """A network that adds "w" to its image."""
    nodes = nodes or (helper.make_node("Add", ["x", "w"], ["y"]),)
    return helper.make_graph(list(nodes), "g", [IMAGE], [SCORES], initializer=list(tensors), **others)


def written(scene: Scene, graph: Any, *domains: str, **others: Any) -> Path:
    imports = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9, **others)
    (scene.at / "net").mkdir(exist_ok=True)
    path = scene.at / "net" / "evil.onnx"
    path.write_bytes(model.SerializeToString())
    return path


REFUSES = "keeps numbers in other files"


@attack(*MEASURE, words=REFUSES)
def onnx_data_above_the_folder(scene: Scene) -> None:
    written(scene, add(external("../../outside/secret.bin")))


@attack(*MEASURE, words=REFUSES)
def onnx_data_at_an_absolute_path(scene: Scene) -> None:
    written(scene, add(external(str(scene.outside / "secret.bin"))))


@attack(*MEASURE, words=REFUSES)
def onnx_data_behind_a_symbolic_link(scene: Scene) -> None:
    written(scene, add(external("data.bin")))
    for folder in (scene.at, scene.at / "net"):
        (folder / "data.bin").symlink_to(scene.outside / "secret.bin")


@attack(*MEASURE, words=REFUSES)
def onnx_data_behind_a_hard_link(scene: Scene) -> None:
    written(scene, add(external("data.bin")))
    for folder in (scene.at, scene.at / "net"):
        os.link(scene.outside / "secret.bin", folder / "data.bin")


@attack(*MEASURE, words=REFUSES)
def onnx_data_that_is_a_device(scene: Scene) -> None:
    written(scene, add(external("/dev/zero", length=str(2**40))))


@attack(*MEASURE, words=REFUSES)
def onnx_data_at_an_address_in_memory(scene: Scene) -> None:
    """What ONNX Runtime itself writes for numbers that it holds: the offset is a pointer."""
    written(scene, add(external("*/_ORT_MEM_ADDR_/*", offset="4096", length="16")))


@attack(*MEASURE, words=REFUSES)
def onnx_data_in_a_sparse_initialiser(scene: Scene) -> None:
    indices = helper.make_tensor("i", TensorProto.INT64, [4], [0, 1, 2, 3])
    sparse = helper.make_sparse_tensor(external("../../outside/secret.bin"), indices, [1, 1, 1, 4])
    written(scene, add(sparse_initializer=[sparse]))


@attack(*MEASURE, words=REFUSES)
def onnx_indices_in_another_file(scene: Scene) -> None:
    values = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4)
    sparse = helper.make_sparse_tensor(values, external("../../outside/secret.bin", "i"), [1, 1, 1, 4])
    written(scene, add(sparse_initializer=[sparse]))


@attack(*MEASURE, words=REFUSES)
def onnx_data_in_a_constant(scene: Scene) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=external("../../outside/secret.bin"))
    written(scene, add(nodes=(constant, helper.make_node("Add", ["x", "w"], ["y"]))))


@attack(*MEASURE, words=REFUSES)
def onnx_data_in_a_branch(scene: Scene) -> None:
    inner = helper.make_graph(
        [helper.make_node("Add", ["x", "v"], ["z"])], "branch", [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 1, 1, 4])],
        initializer=[external("../../outside/secret.bin", "v")],
    )  # fmt: skip
    yes = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    written(scene, add(yes, nodes=(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner),)))


@attack(*MEASURE, words=REFUSES)
def onnx_data_in_a_function(scene: Scene) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=external("../../outside/secret.bin"))
    body = [constant, helper.make_node("Add", ["a", "w"], ["b"])]
    function = helper.make_function("own", "f", ["a"], ["b"], body, [helper.make_opsetid("", 17)])
    written(scene, add(nodes=(helper.make_node("f", ["x"], ["y"], domain="own"),)), "own", functions=[function])


@attack(*MEASURE, words="", codes=(0,), slow=True)
def onnx_that_is_another_format_as_well(scene: Scene) -> None:
    """Read as ONNX it is a network; by its fifth byte ONNX Runtime would take it for a format of its own."""
    content = written(scene, add(helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4))).read_bytes()
    (scene.at / "net" / "evil.onnx").write_bytes(b"\x12\x10ORORTM" + b"x" * 10 + content)


@attack(*MEASURE, words="net/evil.onnx reads", codes=(2,))
def onnx_of_an_endless_image(scene: Scene) -> None:
    graph = add(helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4))
    for axis in (2, 3):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 2**40
    written(scene, graph)


@attack(*MEASURE, words="onnxruntime cannot run this file", codes=(2,))
def onnx_that_fills_memory(scene: Scene) -> None:
    size = helper.make_tensor("s", TensorProto.INT64, [1], [2**40])
    nodes = (
        helper.make_node("ConstantOfShape", ["s"], ["big"]), helper.make_node("ReduceSum", ["big"], ["w"], keepdims=0),
        helper.make_node("Add", ["x", "w"], ["y"]),
    )  # fmt: skip
    written(scene, add(size, nodes=nodes))


@attack(*MEASURE, words="onnxruntime cannot run this file", codes=(2,))
def onnx_with_an_operator_of_its_own(scene: Scene) -> None:
    written(scene, add(nodes=(helper.make_node("Evil", ["x"], ["y"], domain="evil.so"),)), "evil.so")


@attack(*MEASURE, words="onnxruntime cannot run this file", codes=(2,))
def onnx_that_calls_python(scene: Scene) -> None:
    node = helper.make_node("PythonOp", ["x"], ["ctx", "y"], domain="com.microsoft", func_name="os.system")
    written(scene, add(nodes=(node,)), "com.microsoft")


@attack(*MEASURE, words="onnxruntime cannot run this file", codes=(2,))
def onnx_with_a_context_in_another_file(scene: Scene) -> None:
    node = helper.make_node(
        "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context="../../outside/secret.bin",
    )  # fmt: skip
    written(scene, add(nodes=(node,)), "com.microsoft")


@attack(*MEASURE, words="evil.onnx has")
def onnx_of_three_gigabytes_of_holes(scene: Scene) -> None:
    (scene.at / "net").mkdir()
    hollow(scene.at / "net" / "evil.onnx", 3 * 2**30)


@attack(*MEASURE, words="net/evil.onnx is no ONNX file")
def onnx_that_nests(scene: Scene) -> None:
    content = b""
    for _ in range(2000):  # a graph in an attribute of a node of a graph
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            content = tag + onnx_length(len(content)) + content
    (scene.at / "net").mkdir()
    (scene.at / "net" / "evil.onnx").write_bytes(b"\x3a" + onnx_length(len(content)) + content)


@attack(*MEASURE, words="net/evil.onnx")
def onnx_of_a_million_empty_parts(scene: Scene) -> None:
    content = b"\x0a\x00" * 10**6
    (scene.at / "net").mkdir()
    (scene.at / "net" / "evil.onnx").write_bytes(b"\x3a" + onnx_length(len(content)) + content)


def onnx_length(number: int) -> bytes:
    """As protobuf writes it."""
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


@attack("measure", "net", "--quiet", "--sessions", "2", words="damaged or missing")
def onnx_of_a_run_that_was_exchanged(scene: Scene) -> None:
    scene.run("net")
    (scene.at / "net" / "model.onnx").unlink()
    (scene.at / "net" / "model.onnx").symlink_to(scene.outside / "secret.bin")


SHADOWS = ("numpy", "onnxruntime", "hwnas", "json", "sitecustomize", "usercustomize", "onnx", "psutil", "torch")


@attack("measure", "run", "--quiet", "--sessions", "2", words="", codes=(0,))
def modules_in_the_working_directory(scene: Scene) -> None:
    """What a dataset or a run is unpacked beside is not what the measuring process imports."""
    scene.run()
    for name in SHADOWS:
        (scene.at / f"{name}.py").write_text(f"import os; os.system({scene.shell!r})\n")
