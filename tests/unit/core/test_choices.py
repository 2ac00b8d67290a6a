"""ChoiceSpace: conditions, size, canonical form, sampling, mutation, crossing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace, Condition, EqualPlaces
from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.spaces.proxyless import proxyless_space

SPACE = ChoiceSpace(
    "small@1",
    (
        Choice("a", (0, 1, 2)),
        Choice("b", ("x", "y"), Condition("a", (1, 2))),
        Choice("c", (1, 2, 3), Condition("b", ("y",))),
        Choice("d", (5, 6)),
    ),
)


@st.composite
def spaces(draw: st.DrawFn) -> ChoiceSpace:
    choices: list[Choice] = []
    for index in range(draw(st.integers(1, 5))):
        options = tuple(range(draw(st.integers(1, 3))))
        condition = None
        if choices and draw(st.booleans()):
            earlier = draw(st.sampled_from(choices))
            values = draw(st.lists(st.sampled_from(earlier.options), min_size=1, unique=True))
            condition = Condition(earlier.name, tuple(values))
        choices.append(Choice(f"c{index}", options, condition))
    equal = []
    for group in range(draw(st.integers(0, 2))):  # in between and at the end
        options = tuple(range(draw(st.integers(1, 3))))
        names = tuple(f"g{group}.{place}" for place in range(draw(st.integers(1, 3))))
        at = draw(st.integers(0, len(choices))) if group else len(choices)
        choices[at:at] = [Choice(name, options) for name in names]
        equal.append(EqualPlaces(names, draw(st.sampled_from(options))))
    return ChoiceSpace("drawn@1", tuple(choices), tuple(equal))


def test_size_by_hand() -> None:
    # a=0 leaves b and c dead: 1; a=1 and a=2: b=x 1, b=y 3; times d.
    assert SPACE.size() == (1 + 4 + 4) * 2
    assert SPACE.size_with_inactive() == 3 * 2 * 3 * 2
    assert len(set(SPACE.enumerate())) == 18


@given(spaces())
def test_size_is_the_number_enumerated(space: ChoiceSpace) -> None:
    every = list(space.enumerate())
    assert len(set(every)) == len(every) == space.size()


@given(spaces())
def test_equal_places_have_every_canonical_form_and_no_other(space: ChoiceSpace) -> None:
    every = set(space.enumerate())
    assert all(space.canonical(arch) == arch for arch in every)
    plain = ChoiceSpace(space.name, space.choices)
    assert {space.canonical(arch) for arch in plain.enumerate()} == every
    assert space.size() <= plain.size() <= plain.size_with_inactive() == space.size_with_inactive()


@given(spaces(), st.integers(0, 2**32))
def test_samples_mutants_and_children_stay_inside(space: ChoiceSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inside = set(space.enumerate())
    a, b = space.sample(rng), space.sample_spread(rng)
    mutant, child = space.mutate(a, rng), space.cross(a, b, rng)
    assert {a, b, mutant, child} <= inside
    for arch in (a, b, mutant, child):
        assert space.canonical(arch) == arch
    for choice, option in child.choices:
        places = next((p.choices for p in space.equal_places if choice in p.choices), (choice,))
        known = [parent[name] for parent in (a, b) for name in places if name in parent.as_dict()]
        assert option in known or not known


PLACES = ChoiceSpace(
    "places@1",
    (*(Choice(name, ("none", "x", "y")) for name in "abc"), Choice("d", (1, 2))),
    (EqualPlaces(("a", "b", "c"), "none"),),
)


def test_removed_places_are_last_and_the_others_keep_their_order() -> None:
    arch = PLACES.architecture({"a": "none", "b": "y", "c": "x", "d": 2})
    assert arch.choices == (("a", "y"), ("b", "x"), ("c", "none"), ("d", 2))
    assert arch == PLACES.canonical(arch) == PLACES.architecture({"a": "y", "b": "none", "c": "x", "d": 2})
    assert arch != PLACES.architecture({"a": "x", "b": "y", "c": "none", "d": 2})
    # None, one, two or three kept, each x or y.
    assert PLACES.size() == (1 + 2 + 4 + 8) * 2 == len(set(PLACES.enumerate()))
    assert PLACES.size_with_inactive() == 27 * 2


def test_an_architecture_written_in_another_order_is_brought_to_canonical_form() -> None:
    written = Architecture("places@1", (("a", "none"), ("b", "none"), ("c", "x"), ("d", 1)))
    assert PLACES.canonical(written).choices == (("a", "x"), ("b", "none"), ("c", "none"), ("d", 1))
    assert PLACES.encode(written).tolist() == [0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0]


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_a_mutant_differs_where_two_changes_could_undo_each_other(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    arch = PLACES.sample(rng)
    assert PLACES.mutate(arch, rng, rate) != arch


@given(st.integers(0, 2**32))
def test_a_mutant_differs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arch = SPACE.sample(rng)
    assert SPACE.mutate(arch, rng, rate=0.0) != arch


@given(spaces(), st.integers(0, 2**32))
def test_json_round_trip_and_ids(space: ChoiceSpace, seed: int) -> None:
    arch = space.sample(np.random.default_rng(seed))
    again = Architecture.from_json(arch.to_json())
    assert again == arch and again.id == arch.id
    assert len({arch.id for arch in space.enumerate()}) == space.size()


def test_dead_choices_are_dropped_and_do_not_change_the_id() -> None:
    arch = SPACE.architecture({"a": 0, "b": "y", "c": 3, "d": 5})
    assert arch.choices == (("a", 0), ("d", 5))
    assert arch == SPACE.architecture({"d": 5, "a": 0})


def test_encode_is_one_hot_over_live_choices() -> None:
    assert SPACE.encode(SPACE.architecture({"a": 0, "d": 6})).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    arch = SPACE.architecture({"a": 2, "b": "y", "c": 1, "d": 5})
    assert SPACE.encode(arch).tolist() == [0, 0, 1, 0, 1, 1, 0, 0, 1, 0]
    assert SPACE.encode(arch).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a": 0}, "'d' is missing"),
        ({"a": 1, "d": 5}, "'b' is missing"),
        ({"a": 7, "d": 5}, "no option 7; it has 0, 1, 2"),
        ({"a": 0, "d": 5, "e": 1}, "no choice 'e'"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, int | str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SPACE.architecture(options)


def test_another_space_or_version_is_refused() -> None:
    with pytest.raises(InputError, match="small@0.*small@1"):
        SPACE.canonical(Architecture("small@0", (("a", 0), ("d", 5))))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((Choice("a", (1,)), Choice("a", (2,))), "two choices"),
        ((Choice("a", ()),), "options"),
        ((Choice("a", (1, 1)),), "all different"),
        ((Choice("a", (1,), Condition("b", (1,))), Choice("b", (1,))), "no earlier choice"),
    ],
)
def test_spaces_that_make_no_sense(choices: tuple[Choice, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChoiceSpace("bad@1", choices)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ((("a", "b"), 0), "same options"),
        ((("a", "c"), 0), "no conditions"),
        ((("a", "d"), 7), "same options, 7 among"),
        ((("d", "a"), 0), "in order"),
        ((("a", "a"), 0), "in order"),
        ((("a", "z"), 0), "in order"),
        ((("e", "f"), 0), "no conditions"),
    ],
)
def test_equal_places_that_make_no_sense(places: tuple[tuple[str, ...], int], message: str) -> None:
    choices = (
        Choice("a", (0, 1)), Choice("b", (0, 2)), Choice("c", (0, 1), Condition("a", (1,))), Choice("d", (0, 1)),
        Choice("e", (0, 1)), Choice("f", (0, 1)), Choice("g", (0, 1), Condition("f", (1,))),
    )  # fmt: skip
    with pytest.raises(InputError, match=message):
        ChoiceSpace("bad@1", choices, (EqualPlaces(*places),))


def test_a_place_belongs_to_one_group() -> None:
    choices = tuple(Choice(name, (0, 1)) for name in "abc")
    with pytest.raises(InputError, match="once each"):
        ChoiceSpace("bad@1", choices, (EqualPlaces(("a", "b"), 0), EqualPlaces(("b", "c"), 0)))


def test_same_seed_in_another_process_gives_the_same_samples() -> None:
    code = (
        "import numpy as np\n"
        "from hwnas.spaces.proxyless import proxyless_space\n"
        "choices = proxyless_space('proxyless-small', (3, 32, 32), 10).choices\n"
        "rng = np.random.default_rng(7)\n"
        "a, b = choices.sample(rng), choices.sample_spread(rng)\n"
        "print(a.id, b.id, choices.mutate(a, rng).id, choices.cross(a, b, rng).id)\n"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    choices = proxyless_space("proxyless-small", (3, 32, 32), 10).choices
    rng = np.random.default_rng(7)
    a, b = choices.sample(rng), choices.sample_spread(rng)
    assert runs == {f"{a.id} {b.id} {choices.mutate(a, rng).id} {choices.cross(a, b, rng).id}\n"}


@pytest.mark.parametrize("seed", range(3))
def test_spread_samples_spread_costs(seed: int) -> None:
    space = proxyless_space("proxyless-imagenet", (3, 224, 224), 1000)
    rng = np.random.default_rng(seed)
    uniform = [count(space.decode(space.choices.sample(rng))).macs for _ in range(25)]
    spread = [count(space.decode(space.choices.sample_spread(rng))).macs for _ in range(25)]
    assert np.std(spread) > 1.5 * np.std(uniform)


@given(spaces())
def test_every_number_is_an_architecture(space: ChoiceSpace) -> None:
    numbered = [space.architecture_at(index) for index in range(space.size())]
    assert len(set(numbered)) == len(numbered) and set(numbered) == set(space.enumerate())


def test_no_other_number_is() -> None:
    for index in (-1, SPACE.size()):
        with pytest.raises(InputError, match="0 to 17"):
            SPACE.architecture_at(index)


def test_options_that_are_open_after_others() -> None:
    a, b, c, _ = SPACE.choices
    assert SPACE.options_after(a, {}) == (0, 1, 2)
    assert SPACE.options_after(b, {"a": 0}) == () and SPACE.options_after(b, {"a": 2}) == ("x", "y")
    assert SPACE.options_after(c, {"a": 2, "b": "x"}) == ()
    first, second, *_ = PLACES.choices
    assert PLACES.options_after(second, {first.name: PLACES.equal_places[0].removed}) == (
        PLACES.equal_places[0].removed,
    )
