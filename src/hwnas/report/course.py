"""The sections on the run: how the search decided, the network it found, the compute, and where it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.report import charts, drawing, evaluations, wording
from hwnas.report.reading import Entry, mapping, number, numbers, rows, text

View = dict[str, Any]
MOST_CLASSES = 40  # names of classes that are listed
MOST_FACTS = 60


def gates(result: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], searched: Entry | None) -> View:
    """Curves over the steps of the search or over what it evaluated, the last gates, and the search in figures."""
    lines = [row for row in metrics if text(row.get("stage")).split("/")[0] == "search"]
    lines = [row for row in lines if number(row.get("step")) is not None]
    budget = mapping(result.get("budget"))
    limit, planned = number(budget.get("latency_ms")), number(budget.get("planned_ms"))
    aim = None if limit is None else (limit, f"budget {wording.limit(limit)}")
    if planned is not None and planned != limit:
        aim = (planned, f"aim {wording.limit(planned)}")
    loss = ("Cross-entropy of the sampled paths, nats", _curve(lines, "ce"))
    if not loss[1]:
        loss = ("Training loss of the sampled paths, nats", _curve(lines, "loss"))
    known: list[tuple[str, str, list[tuple[float, float]]]] = [
        ("entropy", "Mean entropy of the gates, nats", _curve(lines, "entropy")),
        ("expected", "Expected latency, ms", _curve(lines, "expected_ms")),
        ("loss", *loss),
        ("removed", "Mean probability of leaving a layer out", _removed(lines)),
    ]
    since = _gates_move(known[0][2])
    curves = [
        charts.curve_chart(name, heading, curve, limit=aim if name == "expected" else None, since=since)
        for name, heading, curve in known
    ]
    gated = [row for row in lines if mapping(row.get("gates"))]
    view: View = {
        "curves": [*(chart for chart in curves if chart), *evaluations.search_charts(result)],
        "table": charts.course_table([(heading, curve) for _, heading, curve in known])
        or evaluations.search_table(result),
        "since": len(gated) >= drawing.FEWEST_LINES,
        "strip": drawing.gate_strip(gated, searched.choices if searched else {}),
        "facts": _search_facts(mapping(result.get("search"))),
    }
    return {**view, "shown": any(view[key] for key in ("curves", "strip", "facts"))}


def network(result: Mapping[str, Any], searched: Entry | None) -> View:
    """The drawing of the delivered network and the table beside it."""
    blocks = drawing.blocks_of(result)
    slowest = max((block.latency_ms or 0.0 for block in blocks), default=0.0)
    table = [
        {
            "name": block.name,
            "says": block.says,
            "params": wording.short_count(block.params),
            "macs": wording.short_count(block.macs),
            "latency": wording.like(block.latency_ms, slowest),
            "share": wording.percent(block.share),
        }
        for block in blocks
    ]
    return {
        "blocks": table,
        "timed": slowest > 0,
        "drawing": drawing.network_drawing(blocks, searched.choices if searched else None),
        "scale": drawing.heat_scale(),
        "lead": _network_lead(blocks, searched),
    }


def compute(result: Mapping[str, Any], found: Sequence[Entry]) -> View:
    """Where the CPU-seconds went."""
    labels = {item.role: item.label for item in found}
    known = [
        (text(row.get("stage")), number(row.get("cpu_seconds")), number(row.get("wall_seconds")))
        for row in rows(result.get("compute"))
    ]
    total = sum(cpu or 0.0 for _, cpu, _ in known)
    table = [
        {
            "stage": wording.stage_words(stage, labels),
            "cpu": wording.seconds(cpu),
            "wall": wording.seconds(wall),
            "share": wording.percent(cpu / total, 0) if cpu is not None and total else "",
            "bar": charts.share_bar(cpu / total) if cpu is not None and total else "",
        }
        for stage, cpu, wall in known
    ]
    elapsed = sum(wall or 0.0 for _, _, wall in known)
    # A baseline that found nothing to deliver has no label, and has cost its time nevertheless.
    theirs = {"baseline", *labels} - {"searched"}
    baselines = sum(cpu or 0.0 for stage, cpu, _ in known if theirs.intersection(stage.split("/")))
    lead = f"{wording.seconds(total)} of CPU time in {wording.seconds(elapsed)}" if total else ""
    lead += f"; {wording.percent(baselines / total, 0)} of it for the baselines" if total and baselines else ""
    return {
        "table": table, "total": wording.seconds(total), "wall": wording.seconds(elapsed), "lead": lead,
        "taken": _taken(rows(result.get("shared"))),
    }  # fmt: skip


def _taken(shared: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a run has taken over from others, one sentence for each."""
    found: dict[str, list[str]] = {}
    for row in shared[:MOST_FACTS]:
        what, networks, steps = text(row.get("what")), number(row.get("networks")), number(row.get("steps"))
        known = {"search": f"the first {wording.count(steps)} steps of the search", "uniform": "the second supernet"}
        said = known.get(what, "a training from scratch" if what.startswith("train/") else what)
        if networks is not None:
            said = f"{wording.count(networks)} {'network' if networks == 1 else 'networks'} trained alone"
        found.setdefault(text(row.get("from")), []).append(said)
    return [
        f"Taken over from {place}, which had done the very same for another target or budget: {', '.join(said)}. "
        "The times are without it."
        for place, said in found.items()
    ]


def again(command: str) -> str:
    """The command that repeats a run with its own measurements in another directory; "" where it cannot be told."""
    try:
        parts = shlex.split(command)
    except ValueError:
        return ""
    if "--out" not in parts[:-1] or "--measurements" in parts:
        return ""
    place = parts.index("--out") + 1
    out = parts[place].rstrip("/")
    return shlex.join([*parts[:place], f"{out}-again", *parts[place + 1 :], "--measurements", out])


def provenance(result: Mapping[str, Any], settings: Mapping[str, Any]) -> list[View]:
    """Named lists of facts: data, target, settings, versions."""
    target = mapping(result.get("target"))
    made = dict([(key, text(result.get(key))) for key in ("hwnas", "space", "seed")])
    groups: list[tuple[str, list[tuple[str, str]]]] = [
        ("Data", _data_facts(mapping(result.get("data")))),
        ("Target", [(key, text(target.get(key))) for key in ("name", "id")] + _flat(mapping(target.get("key")))),
        ("Settings", _flat(settings)),
        ("Made with", list({**made, **dict(_flat(mapping(result.get("environment"))))}.items())),
    ]
    views = [{"heading": heading, "facts": [fact for fact in facts if fact[1]]} for heading, facts in groups]
    return [view for view in views if view["facts"]]


def _network_lead(blocks: Sequence[drawing.Block], searched: Entry | None) -> str:
    shares = [(block.share, block) for block in blocks if block.share is not None]
    lead = ""
    if shares:
        share, most = max(shares, key=lambda pair: pair[0])
        lead = f"The largest share of the time, {wording.percent(share, 0)}, goes into {most.name} ({most.says})."
    removed = drawing.left_out(searched.choices) if searched else []
    if searched and removed:
        lead += f" {len(removed)} of the {len(searched.choices)} layers that were open to choice are left out."
    return lead.strip()


def _data_facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = data.get("class_names")
    classes = [text(name) for name in names] if isinstance(names, list) else []
    splits = [(split, number(data.get(split))) for split in ("train", "search", "test")]
    more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
    return [
        ("name", text(data.get("name"))),
        ("images", ", ".join(f"{wording.count(images)} {split}" for split, images in splits if images is not None)),
        ("one image", "×".join(f"{size:g}" for size in numbers(data.get("input_shape")))),
        (f"{len(classes)} classes", ", ".join(classes[:MOST_CLASSES]) + more),
        ("fingerprint", text(data.get("fingerprint"))),
    ]


def _search_facts(search: Mapping[str, Any]) -> list[tuple[str, str]]:
    derived = text(search.get("derived"))
    entropy, proposals = number(search.get("final_entropy")), number(search.get("proposals"))
    facts = [
        ("strategy", text(search.get("strategy"))),
        ("reward", text(search.get("reward"))),
        ("latency term", text(search.get("loss"))),
        ("taken from the gates by", {"argmax": "likeliest options", "sample": "sampling"}.get(derived, derived)),
        ("why this one", text(search.get("reason"))),
        ("networks evaluated", wording.count(number(search.get("evaluations")))),
        ("of them failed", wording.count(number(search.get("failed")))),
        ("proposals", "" if proposals is None else f"{wording.count(proposals)}, repeats and refused ones among them"),
        ("training steps of each", wording.count(number(search.get("child_steps")))),
        ("weight steps", wording.count(number(search.get("weight_steps")))),
        ("architecture steps", wording.count(number(search.get("architecture_steps")))),
        ("images seen", wording.count(number(search.get("images_seen")))),
        ("final mean entropy", "" if entropy is None else f"{wording.decimals(entropy, 2)}\u00a0nats"),
        ("final expected latency", wording.milliseconds(number(search.get("expected_ms")))),
    ]
    return [(name, value) for name, value in facts if value and value != wording.MISSING]


def _gates_move(entropy: Sequence[tuple[float, float]]) -> tuple[float, str] | None:
    """The step up to which the entropy of the gates stood still; None where they moved from the start, or never."""
    still = 0
    while still + 1 < len(entropy) and abs(entropy[still + 1][1] - entropy[0][1]) < 1e-6:
        still += 1
    return (entropy[still][0], "gates learn") if 0 < still < len(entropy) - 1 else None


def _curve(lines: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    found = [(number(row.get("step")), number(row.get(key))) for row in lines]
    return [(step, value) for step, value in found if step is not None and value is not None]


def _removed(lines: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    return _curve([{"step": row.get("step"), **mapping(row.get("shares"))} for row in lines], "removed")


def _flat(data: Mapping[str, Any], depth: int = 0) -> list[tuple[str, str]]:
    """An object's values by name; the values of objects inside it stand under their own names."""
    found: list[tuple[str, str]] = []
    for name, value in data.items():
        said = name if name.isupper() else name.removesuffix("_bytes").replace("_", " ")
        size = number(value) if name.endswith("_bytes") else None
        if isinstance(value, Mapping):
            found += _flat(value, depth + 1) if depth < 2 else []
        elif isinstance(value, list):
            found.append((said, ", ".join(str(item) for item in value[:20])))
        elif isinstance(value, bool) or size is not None:
            found.append((said, wording.short_count(size, "B") if size is not None else "yes" if value else "no"))
        elif value is not None:
            found.append((said, str(value)))
    return found[:MOST_FACTS]
