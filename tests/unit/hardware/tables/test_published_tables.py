"""The published tables, where their files are at hand: sums, and what each does not cover."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_networks import PROXYLESS_MOBILE, once_for_all, proxyless, same_everywhere, uniform

from hwnas.core.errors import TargetUnavailable, UnknownLayer
from hwnas.hardware.tables.foreign import PUBLICATIONS
from hwnas.hardware.tables.layer_table import LayerTable, rows_id
from hwnas.hardware.tables.store import TableStore, open_table
from hwnas.spaces.proxyless import proxyless_space
from hwnas.workflows.tables import import_table

PIXEL1_SUMS = {
    uniform("k3e3"): 76.0481, uniform("k5e3"): 87.7203, uniform("k7e3"): 103.6662, uniform("k3e6"): 136.4663,
    uniform("k5e6"): 158.9527, uniform("k7e6"): 191.0299, uniform("k3e3", "Z"): 29.6088, PROXYLESS_MOBILE: 82.5239,
}  # fmt: skip
NOTE10_SUMS = {  # k3e3d2 (the smallest), k5e4d3, k7e6d4 (the largest)
    160: (9.890, 20.033, 47.773), 176: (11.721, 24.210, 58.038), 192: (13.325, 27.836, 67.562),
    208: (15.834, 33.471, 81.192), 224: (17.769, 37.806, 92.398),
}  # fmt: skip
NOTE10_PUBLISHED = {
    "flops-482M_top1-79.6_finetune-75": (
        "53,33,33 ; 54,34,54,33 ; 54,56,33,33 ; 56,76,36,54 ; 76,36,36,33", 43.76,
    ),
    "pixel1_lat-79ms_top1-78.7_finetune-75": ("33,33 ; 53,34 ; 74,54,33 ; 56,34,34,33 ; 36,36,36,33", 31.38),
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    """Both tables, imported from their files."""
    store = TableStore(tmp_path_factory.mktemp("cache"))
    import_table([shared_data / "proxylessnas" / "pixel1_lookup_table.yaml"], "pixel1", store=store)
    note10 = sorted((shared_data / "ofa" / "note10").glob("*_lookup_table.yaml"), reverse=True)
    import_table(note10, "note10", store=store)
    return store


@pytest.fixture(scope="module")
def pixel1(tables: TableStore) -> LayerTable:
    return tables.read("pixel1")


@pytest.fixture(scope="module")
def note10(tables: TableStore) -> LayerTable:
    return tables.read("note10")


@pytest.mark.parametrize("operations", PIXEL1_SUMS)
def test_pixel1_sums_hold(pixel1: LayerTable, operations: str) -> None:
    cost = pixel1.cost(proxyless(operations, 24))
    assert cost.value == pytest.approx(PIXEL1_SUMS[operations], abs=1e-4)
    assert (cost.kind, cost.provenance) == ("table", f"pixel1@{pixel1.id}")


def test_pixel1_terms_of_its_space(pixel1: LayerTable) -> None:
    space = proxyless_space("proxyless-imagenet", (3, 224, 224), 1000)
    terms = pixel1.terms(space)
    assert terms.constant == pytest.approx(11.3642, abs=1e-4)
    uniform_softmax = sum(sum(row.values()) / len(row) for row in terms.by_choice.values())
    assert terms.constant + uniform_softmax == pytest.approx(113.9881, abs=1e-4)
    for arch in space.uniform_architectures().values():
        assert terms.total(arch) == pytest.approx(pixel1.cost(space.decode(arch)).value, rel=1e-12)


def test_pixel1_lacks_the_published_network(pixel1: LayerTable) -> None:
    words = r"stage1.block0: .*'pixel1' .*112x112x16-output:56x56x32-.* nearest entry is '.*112x112x16-output:56x56x24"
    with pytest.raises(UnknownLayer, match=words):
        pixel1.cost(proxyless(PROXYLESS_MOBILE, 32))


@pytest.mark.parametrize("side", NOTE10_SUMS)
def test_note10_sums_hold(note10: LayerTable, side: int) -> None:
    networks = [once_for_all(same_everywhere(*kind), side) for kind in (("33", 2), ("54", 3), ("76", 4))]
    assert [note10.cost(network).value for network in networks] == pytest.approx(NOTE10_SUMS[side], abs=5.1e-4)


def test_note10_fixed_parts(note10: LayerTable) -> None:
    prices = note10.prices(once_for_all(same_everywhere("33", 2), 224)).by_node
    fixed = {"stem": 0.9944, "first": 1.7728, "head": 0.6944, "classifier": 0.0153 + 0.7625 + 0.6694}
    assert {name: prices[name] for name in fixed} == pytest.approx(fixed, abs=1e-4)


@pytest.mark.parametrize("name", NOTE10_PUBLISHED)
def test_note10_published_networks(note10: LayerTable, name: str) -> None:
    operations, ms = NOTE10_PUBLISHED[name]
    assert note10.cost(once_for_all(operations, 224)).value == pytest.approx(ms, abs=0.005)


def test_the_same_key_costs_something_else_for_other_images(note10: LayerTable) -> None:
    shared = note10.rows["208x208"].keys() & note10.rows["224x224"].keys()
    assert any("7x7x192-output:7x7x192" in key for key in shared)
    assert all(note10.rows["208x208"][key] != note10.rows["224x224"][key] for key in shared)


def test_note10_lacks_other_images(note10: LayerTable) -> None:
    with pytest.raises(UnknownLayer, match=r"'Conv-input:220x220x3-.* nearest entry is 'Conv-input:2[0-9]+x"):
        note10.cost(once_for_all(same_everywhere("33", 2), 220))


def test_published_tables_are_recognised_whatever_they_are_called(
    tables: TableStore, shared_data: Path, tmp_path: Path
) -> None:
    for name, known in PUBLICATIONS.items():
        table = tables.read(name)
        assert (table.device, known.ids) == (known.device, {size: rows_id(rows) for size, rows in table.rows.items()})
        assert table.source.startswith("github.com/han-cai/files: ")
    one = import_table([shared_data / "ofa" / "note10" / "176_lookup_table.yaml"], "phone", store=TableStore(tmp_path))
    assert one.table.device == "Samsung Galaxy Note10" and list(one.table.rows) == ["176x176"]


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_a_published_table_that_is_not_imported_says_how_to_get_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable) as raised:
        open_table(name, TableStore(tmp_path))
    said = str(raised.value)
    assert "github.com/han-cai/files" in said and all(path in said for path in PUBLICATIONS[name].files)
    assert "then: hwnas import-table " in said and said.endswith(f"--name {name}")
    assert TargetUnavailable.exit_code == 4
