"""Settings, networks and measurements that are code, or that grow when they are read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attacks import FIT, Scene, attack

CONFIG = (*FIT, "toy", "--config", "evil.yaml")


def settings(name: str, text: str, words: str) -> None:
    """An attack by a file of settings; SHELL in its text stands for what fires the canary."""

    def build(scene: Scene) -> None:
        (scene.at / "evil.yaml").write_text(text.replace("SHELL", scene.shell))

    build.__name__ = f"settings_with_{name}"
    attack(*CONFIG, words=words)(build)


settings("a_tag_that_calls", 'seed: !!python/object/apply:os.system ["SHELL"]', "YAML tags")
settings("a_tag_that_makes", 'seed: !!python/object/new:os.system ["SHELL"]', "YAML tags")
settings("a_tag_that_imports", "seed: !!python/module:antigravity", "YAML tags")
settings("a_tag_of_nothing", 'seed: !!int ""', "YAML tags")
settings("a_tag_that_does_not_fit", "skip_bad: !!bool maybe", "YAML tags")
settings("a_tag_of_a_time", "seed: !!timestamp x", "YAML tags")
settings("a_tag_of_bytes", "data: !!binary SGk=", "YAML tags")
settings("a_target_to_call", '_target_: os.system\n_args_: ["SHELL"]', "unknown setting")
settings("a_value_to_fill_in", "seed: $(SHELL)", "setting 'seed'")
settings("a_value_of_the_environment", "space: ${oc.env:HOME}", "${oc.env:HOME}")
settings("a_path_of_code", "optimizer: os.system", "unknown optimizer")
settings("code", "import os\nos.system('SHELL')", "evil.yaml")
settings("a_space_of_code", "space: hwnas.evil:Space", "unknown space")
settings("a_billion_laughs", "a: &a [x, x]\n" + "".join(
    f"{two}: &{two} [*{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}]\n"
    for one, two in zip("abcdefghijk", "bcdefghijkl", strict=True)), "write the values out")  # fmt: skip
settings("deep_lists", "seed: " + "[" * 60_000, "deep")
settings("deep_blocks", "- " * 30_000, "deep")
settings("sixties_without_end", "seed: 1" + ":59" * 20_000, "setting 'seed'")
settings("fractions_of_sixties", "lr: 1" + ":59" * 5_000 + ".5", "evil.yaml")
settings("a_megabyte", "x: 1\n" * 200_000, "evil.yaml has")
settings("a_number_of_a_megabyte", "seed: 0x" + "f" * 50_000, "'seed'")
settings("a_thousand_settings", "".join(f"x{number}: 1\n" for number in range(5000)), "unknown setting")
settings("keys_of_keys", "? {? {? [seed] : 1} : 1}\n: 1", "evil.yaml")


def table(name: str, text: str, words: str) -> None:
    """An attack by a latency table; SHELL in its text stands for what fires the canary."""

    def build(scene: Scene) -> None:
        (scene.at / "evil.yaml").write_text(text.replace("SHELL", scene.shell))

    build.__name__ = f"a_latency_table_with_{name}"
    attack("import-table", "evil.yaml", "--name", "evil", words=words, cache=True)(build)


table("a_tag_that_calls", 'Logits-input:1x1x8-output:2: !!python/object/apply:os.system ["SHELL"]', "YAML tags")
table("a_billion_laughs", "a: &a [x]\n" + "".join(
    f"{two}: &{two} [*{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}]\n"
    for one, two in zip("abcdefghijk", "bcdefghijkl", strict=True)), "write the values out")  # fmt: skip
table("deep_lists", "a: " + "[" * 60_000, "deep")
table("lists_of_lists", "a: [" + "[]," * 40_000 + "]", "YAML tokens")
table("sixties_without_end", "Logits-input:1x1x8-output:2: {mean: 1" + ":59" * 43_000 + "}", "is no number")
table("a_megabyte", "x: 1\n" * 200_000, "evil.yaml has")
table("thousands_of_rows", "".join(f"Logits-input:1x1x1-output:{n}: {{mean: 1}}\n" for n in range(1, 3000)), "expanded")
table("a_size_beyond_numbers", f"Logits-input:{'9' * 900}x1x1-output:2: {{mean: 1}}", "it is no key")
table("a_row_that_moves_the_cursor", '"a\\x1b[31m\\u202e": {mean: 1}', "it is no key")


@attack("import-table", "evil.yaml", "--name", "evil", words="is not a file", cache=True)
def a_pipe_for_a_latency_table(scene: Scene) -> None:
    os.mkfifo(scene.at / "evil.yaml")


@attack("import-table", "evil.yaml", "--name", "../../outside/secret", words="is no name of a table", cache=True)
def a_latency_table_whose_name_leads_elsewhere(scene: Scene) -> None:
    (scene.at / "evil.yaml").write_text("{}")


def accuracies(name: str, content: str, words: str) -> None:
    """An attack by a table of accuracies."""

    def build(scene: Scene) -> None:
        (scene.at / "evil.json").write_text(content)

    def compared(scene: Scene) -> None:
        build(scene)

    build.__name__ = f"a_table_of_accuracies_with_{name}"
    attack("search-table", "evil.json", words=words)(build)
    compared.__name__ = f"a_compared_table_with_{name}"
    attack("compare", "--evaluator", "table:evil.json", "--out", "new", words=words, slow=True)(compared)


accuracies("deep_lists", '{"00000000": ' + "[" * 60_000, "evil.json")
accuracies("a_row_that_moves_the_cursor", '{"a\\u001b[31m\\u202e": {}}', "eight digits")
accuracies("a_number_of_thousands_of_digits", '{"00000000": {"flops": ' + "9" * 9_000 + "}}", "evil.json")
accuracies("nine_megabytes", " " * (9 * 2**20), "evil.json has")


@attack("search-table", "evil.json", words="is not a file")
def a_pipe_for_a_table_of_accuracies(scene: Scene) -> None:
    os.mkfifo(scene.at / "evil.json")


@attack("compare", "--evaluator", "table:evil.json", "--out", "new", words="is not a file")
def a_pipe_for_a_table_that_is_compared(scene: Scene) -> None:
    os.mkfifo(scene.at / "evil.json")


@attack("compare", "--evaluator", "table:evil.json", "--out", "new", words="new/report.html is a link")
def a_comparison_whose_report_leads_elsewhere(scene: Scene) -> None:
    (scene.at / "evil.json").write_text("{}")
    (scene.at / "new").mkdir()
    (scene.at / "new" / "report.html").symlink_to(scene.outside / "secret.txt")


def network(name: str, content: str | bytes, words: str, *commands: tuple[str, ...], code: int = 2) -> None:
    """An attack by a network.json, once for each command."""
    for number, command in enumerate(commands or (("describe",), ("export", "--random-weights", "--out", "new"))):

        def build(scene: Scene) -> None:
            (scene.at / "evil.json").write_bytes(content if isinstance(content, bytes) else content.encode())

        build.__name__ = f"a_network_with_{name}{number or ''}"
        attack(command[0], "evil.json", *command[1:], words=words, codes=(code,), slow=number > 0 and not commands)(
            build
        )


def layers(*nodes: dict[str, Any], shape: tuple[int, int, int] = (1, 4, 32)) -> str:
    return json.dumps({"format": "hwnas-network@1", "input_shape": list(shape), "nodes": list(nodes)})


def conv(name: str = "a", out: int = 8, kernel: int = 3, **others: Any) -> dict[str, Any]:
    return {"name": name, "layer": "ConvBnAct", "out_channels": out, "kernel": kernel, **others}


END = {"name": "z", "layer": "Classifier", "classes": 2}
BUILDING = (
    ("export", "--random-weights", "--out", "new"), ("measure", "--quiet"),
    ("train", "--data", "toy", "--train-steps", "10", "--out", "new"),
)  # fmt: skip
network("weights_of_terabytes", layers(conv(out=2**24), conv("b", out=2**24), END), "values", *BUILDING)
network("a_map_of_terabytes", layers(conv(out=2**28, kernel=1), END), "values", *BUILDING)
network("a_million_classes", layers(conv(out=2**16), {**END, "classes": 2**24}), "values", *BUILDING)
network("values_that_fill_memory", layers(conv(out=2**20, kernel=1), END, shape=(1, 64, 64)), "values", *BUILDING)
network("a_size_beyond_numbers", layers(conv(out=10**400)), "out_channels")
network("a_size_below_zero", layers(conv(out=-8)), "out_channels")
network("a_hundred_thousand_layers", layers(*(conv(f"a{i}", kernel=1) for i in range(100_000)), END), "layers")
network("a_cell_of_a_hundred_thousand_blocks", layers({
    "name": "a", "layer": "NasnetCell", "filters": 1, "blocks": [[0, "identity", 1, "identity"]] * 100_000,
    "concat": [2], "inputs": ["input", "input"]}), "blocks")  # fmt: skip
network("a_name_that_is_code", layers(conv("a; import os; os.system('x')"), END), "cannot stand in a module")
network("a_name_of_a_method", layers(conv("forward"), {**END, "name": "__init__"}), "cannot stand in a module")
network("an_activation_that_is_code", layers(conv(activation="__import__('os').system('x')"), END), "activation")
network("a_path_for_a_name", layers(conv("../../x"), END), "cannot stand in a module")
network("a_million_empty_lists", b"[" + b"[]," * 10**7 + b"[]]", "evil.json")
network("a_million_empty_objects", b"[" + b'{"a":1},' * (4 * 10**6) + b"{}]", "evil.json")
network("text_of_wide_letters", '["' + "a" * (60 * 2**20) + '😀"]', "evil.json")
network("deep_lists", "[" * 10**6, "not valid JSON")
network("a_number_of_a_megabyte", "9" * 10**6, "not valid JSON")
network("numbers_that_are_none", '{"format": NaN}', "not valid JSON")


@attack("describe", "evil.json", words="width")
def an_architecture_of_endless_width(scene: Scene) -> None:
    (scene.at / "evil.json").write_text('{"space": "proxyless-small-w1e308@1", "choices": {}}')


@attack("describe", "evil.json", words="evil.json")
def an_architecture_of_a_million_choices(scene: Scene) -> None:
    choices = ",".join(f'"c{number}":1' for number in range(10**6))
    (scene.at / "evil.json").write_text(f'{{"space": "proxyless-small@1", "choices": {{{choices}}}}}')


MEASURED = (*FIT, "toy", "--measurements", "evil.json")


def rows(scene: Scene) -> list[dict[str, Any]]:
    from hwnas.runs.store import RunStore

    with RunStore(scene.run() / "store.sqlite", new=False) as store:
        store.export_measurements(scene.at / "good.json")
    found: list[dict[str, Any]] = json.loads((scene.at / "good.json").read_text())["measurements"]
    return found


def measurements(path: Path, listed: Any) -> None:
    path.write_text(json.dumps({"format": "hwnas-measurements@1", "measurements": listed}))


@attack(*MEASURED, words="evil.json")
def measurements_nested_deeply(scene: Scene) -> None:
    deep: Any = 1
    for _ in range(400):
        deep = {"a": [deep]}
    measurements(scene.at / "evil.json", [{**row, "content": {**row["content"], "x": deep}} for row in rows(scene)])


@attack(*MEASURED, words="evil.json")
def measurements_of_names_that_lead_elsewhere(scene: Scene) -> None:
    found = rows(scene)
    found[0] |= {"purpose": "'; DROP TABLE stages; --", "target_id": "../../x", "content": {}}
    measurements(scene.at / "evil.json", found)


@attack(*MEASURED, words="evil.json")
def measurements_of_a_million_samples(scene: Scene) -> None:
    measurements(scene.at / "evil.json", [{**rows(scene)[0], "content": {"samples": ["SAMPLES"]}}])
    text = (scene.at / "evil.json").read_text()
    (scene.at / "evil.json").write_text(text.replace('"SAMPLES"', "1," * (4 * 2**20) + "1"))
