"""A realistic result with its metrics, made from a seed: what `hwnas fit` on 5,000 digits leaves behind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

BUDGET_MS, LARGEST_MS, FASTEST_MS = 0.3124, 0.781, 0.1093
KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
CHANNELS = {1: 16, 2: 24, 3: 40}
MAPS = {1: 14, 2: 7, 3: 4}
PICKED = ("k3e6", "k5e3", "zero", "k5e6", "k3e3", "k7e3", "k5e6", "zero", "k3e3")
CHOICES = [f"stage{stage}.block{block}" for stage in CHANNELS for block in range(3)]


def options_of(choice: str) -> list[str]:
    found = [f"k{kernel}e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS]
    return found if choice.endswith("block0") else [*found, "zero"]


def entry(
    role: str, label: str, accuracy: float, latency: float, macs: int, weights: str, picked=PICKED
) -> dict[str, Any]:
    half = 1.96 * math.sqrt(accuracy * (1 - accuracy) / 1000)
    return {
        "role": role,
        "label": label,
        "architecture": {"space": "proxyless-28@1", "choices": dict(zip(CHOICES, picked, strict=True))},
        "architecture_id": f"{abs(hash_of(label)):012x}"[:12],
        "predicted_ms": round(latency * 1.012, 5),
        "latency": {
            "median_ms": latency,
            "interval_ms": [round(latency - 0.0053, 4), round(latency + 0.0055, 4)],
            "sessions_ms": [round(latency + delta, 4) for delta in (-0.0041, 0.0022, 0.0049, -0.0012, 0.0008, -0.0021)],
            "wall_p50_ms": round(latency * 1.02, 4),
            "wall_p90_ms": round(latency * 1.17, 4),
            "rounds": 300,
            "unstable": 7,
            "file_sha256": "9f2c7d1e" * 8,
            "target_id": "4f0c2be97a11d3c8",
        },
        "accuracy": {
            "test": accuracy,
            "interval": [round(accuracy - half, 4), round(min(accuracy + 0.85 * half, 1.0), 4)],
            "search": accuracy - 0.001,
            "test_images": 1000,
        },
        "weights": weights,
        "scratch_search_accuracy": accuracy - 0.003 if role == "searched" else None,
        "inherited_search_accuracy": accuracy - 0.001 if role == "searched" else None,
        "params": round(macs / 63),
        "macs": macs,
        "peak_activation_bytes": 150_528,
    }


def hash_of(label: str) -> int:
    """A number that is the same in every process."""
    return sum(ord(letter) * 131**index for index, letter in enumerate(label)) % 16**12


def blocks() -> list[dict[str, Any]]:
    rows = [
        ("stem", "Conv 3x3, stride 2, 16 channels, 14x14", 0.031),
        ("first", "MBConv 3x3, expansion 1, 8 channels, 14x14", 0.018),
    ]
    for choice, option in zip(CHOICES, PICKED, strict=True):
        if option != "zero":
            stage, (_, kernel, _, expansion) = int(choice[5]), option
            size = MAPS[stage]
            says = f"MBConv {kernel}x{kernel}, expansion {expansion}, {CHANNELS[stage]} channels, {size}x{size}"
            weight = 0.006 + 0.0042 * CHANNELS[stage] * int(expansion) * (int(kernel) ** 0.5) / size**0.8 / 10
            rows.append((choice, says, weight))
    rows += [("head", "Conv 1x1, 128 channels, 4x4", 0.012), ("classifier", "Linear, 10 classes", 0.004)]
    total = sum(weight for *_, weight in rows)
    return [
        {"name": name, "text": says, "params": int(52_000 * weight / total) + 90,
         "macs": int(7_900_000 * weight / total), "latency_ms": 0.2904 * weight / total, "share": weight / total}
        for name, says, weight in rows
    ]  # fmt: skip


def make_result(seed: int = 0, accuracy: float = 0.981, latency: float = 0.2904) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    network = entry("searched", "searched", accuracy, latency, 7_903_104, "inherited")
    others = [
        entry("fixed", "MobileNetV2-like, k3e6, depth 2", 0.969, 0.3011, 8_950_000, "scratch"),
        entry("random", "best of 64 random, shared weights", 0.975, 0.2955, 8_110_000, "inherited"),
        entry("random-standalone", "random architecture", 0.962, 0.2712, 6_400_000, "scratch"),
        entry("random-uniform-supernet", "best of 64 random, uniform supernet", 0.972, 0.3087, 8_730_000, "inherited"),
    ]
    return {
        "format": "hwnas-result@1",
        "status": "inside-budget",
        "command": f"hwnas fit --data mnist-5k --target onnxruntime-f32 --budget 40% --seed {seed} --out runs/digits",
        "hwnas": "0.1.0",
        "created": "2026-11-22T10:00:00Z",
        "seed": seed,
        "data": {
            "name": "mnist-5k", "class_names": [str(digit) for digit in range(10)],
            "train": 3000, "search": 1000, "test": 1000, "input_shape": [1, 28, 28],
            "fingerprint": "sha256:5e1b9c0f44aa71d2",
        },
        "space": "proxyless-28@1",
        "target": {
            "name": "onnxruntime-f32",
            "id": "4f0c2be97a11d3c8",
            "key": {
                "engine": "onnxruntime", "version": "1.31.1", "precision": "f32", "threads": "1", "batch": "1",
                "input_shape": [1, 28, 28], "cpu": "AMD EPYC",
            },
        },
        "budget": {"text": "40%", "latency_ms": BUDGET_MS, "planned_ms": 0.3031,
                   "fastest_ms": FASTEST_MS, "largest_ms": LARGEST_MS},
        "network": network,
        "baselines": others,
        "latency_model": latency_model(rng),
        "search": {
            "strategy": "proxyless-g", "loss": "absolute", "derived": "argmax",
            "reason": "the argmax of the gates; none of 64 feasible samples scores better.",
            "weight_steps": 2400, "architecture_steps": 1200, "images_seen": 230_400, "final_entropy": 0.313,
            "expected_ms": 0.2987,
        },
        "rounds": closed_loop(network["architecture_id"]),
        "comparison": comparison(accuracy),
        "candidates": candidates(rng, network),
        "blocks": blocks(),
        "compute": [
            {"stage": "latency model", "cpu_seconds": 41.3, "wall_seconds": 44.0},
            {"stage": "search", "cpu_seconds": 612.4, "wall_seconds": 655.1},
            {"stage": "baselines", "cpu_seconds": 403.9, "wall_seconds": 421.2},
            {"stage": "training", "cpu_seconds": 187.7, "wall_seconds": 195.0},
            {"stage": "measuring", "cpu_seconds": 22.0, "wall_seconds": 26.5},
        ],
        "environment": {"python": "3.11.7", "torch": "2.13.0+cpu", "onnx": "1.23.2", "platform": "Linux-6.1-x86_64",
                        "cpus": 2, "git": "c1384f4"},
    }  # fmt: skip


def closed_loop(delivered: str) -> list[dict[str, Any]]:
    return [
        {"architecture_id": architecture_id, "predicted_ms": predicted, "measured_ms": measured, "upper_ms": upper,
         "inside": upper <= BUDGET_MS, "what": what, "role": "searched"}
        for architecture_id, predicted, measured, upper, what in (
            ("77aa01c9b2d4", 0.3022, 0.3119, 0.3168, "before training"),
            (delivered, 0.2939, 0.2893, 0.2951, "before training"),
            (delivered, 0.2939, 0.2904, 0.2959, "shipped file"),
        )
    ]  # fmt: skip


def comparison(accuracy: float) -> list[dict[str, Any]]:
    return [
        {"against": "fixed", "label": "the best fixed network", "difference": accuracy - 0.969,
         "interval": [0.0021, 0.0222],
         "verdict": "The searched network is better than the best fixed network by 1.2 points (95 % interval +0.2 to "
                    "+2.2, 1,000 test images): more than the noise of the test images."},
        {"against": "random", "label": "random search", "difference": accuracy - 0.975, "interval": [-0.0031, 0.0149],
         "verdict": "The searched network is better than random search by 0.6 points (95 % interval −0.3 to +1.5, "
                    "1,000 test images): not more than the noise of the test images."},
    ]  # fmt: skip


def latency_model(rng: np.random.Generator) -> dict[str, Any]:
    truth = np.sort(rng.uniform(FASTEST_MS * 1.1, LARGEST_MS * 0.95, 20))
    return {
        "bias_percent": 0.42, "mape_percent": 3.9, "r2": 0.9732, "kendall_tau": 0.926, "retest_cv_percent": 2.24,
        "retest_tau": 0.947, "macs_mape_percent": 5.3, "macs_kendall_tau": 0.871, "calibration_networks": 10,
        "kind": "layers", "errors_percent": {"layers": 3.21, "features": 4.4, "macs": 6.05},
        "points": [
            {"predicted_ms": float(value * (1 + rng.normal(0, 0.045))), "measured_ms": float(value),
             "macs": int(value * 2.7e7)}
            for value in truth
        ],
    }  # fmt: skip


def candidates(rng: np.random.Generator, network: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for index in range(140):
        source = "proxyless-g" if index < 64 else "random" if index < 128 else "fixed"
        predicted = float(rng.normal(0.285, 0.02) if source == "proxyless-g" else rng.uniform(0.13, 0.62))
        loss = 0.10 + 0.016 / predicted + abs(rng.normal(0, 0.012)) + (0.022 if source != "proxyless-g" else 0)
        picked = {choice: options_of(choice)[int(rng.integers(len(options_of(choice))))] for choice in CHOICES}
        rows.append({
            "architecture": picked, "architecture_id": f"{int(rng.integers(16**12)):012x}", "predicted_ms": predicted,
            "loss": float(loss), "accuracy": float(1 - loss / 5), "source": source,
        })  # fmt: skip
    rows[20] |= {"architecture_id": network["architecture_id"], "predicted_ms": 0.2939, "loss": 0.151}
    return rows


def make_metrics(seed: int = 0, steps: int = 1200) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    target = {choice: option for choice, option in zip(CHOICES, PICKED, strict=True)}
    sharpness = {choice: rng.uniform(1.4, 5.5) for choice in CHOICES}
    bias = {choice: rng.normal(0, 0.5, len(options_of(choice))) for choice in CHOICES}
    lines: list[dict[str, Any]] = []
    for step in range(0, steps, 10):
        progress = step / steps
        gates = {}
        for choice in CHOICES:
            names = options_of(choice)
            logits = bias[choice] * (0.3 + 0.7 * progress) + sharpness[choice] * progress * (
                np.asarray(names) == target[choice]
            )
            weights = np.exp(logits)
            gates[choice] = dict(zip(names, (weights / weights.sum()).round(4).tolist(), strict=True))
        entropy = float(
            np.mean([-sum(p * math.log(max(p, 1e-9)) for p in options.values()) for options in gates.values()])
        )
        line = {
            "stage": "search", "step": step, "ce": float(0.19 + 2.1 * math.exp(-7 * progress) + rng.normal(0, 0.03)),
            "expected_ms": float(0.298 + 0.11 * math.exp(-4 * progress) + rng.normal(0, 0.0012)),
            "loss": 1.0, "entropy": entropy,
        }  # fmt: skip
        if step % 100 == 0 or step >= steps - 10:
            line["gates"] = gates
        lines.append(line)
    lines += [
        {"stage": "train/searched/scratch", "step": step, "loss": 0.3, "search_accuracy": 0.9}
        for step in range(0, 600, 50)
    ]
    return lines


def make_alone_result(seed: int = 0, evaluations: int = 40) -> dict[str, Any]:
    """The same of a search whose networks were measured and trained alone; every ninth failed."""
    rng = np.random.default_rng(seed)
    result = make_result(seed)
    planned = result["budget"]["planned_ms"]
    found: list[dict[str, Any]] = []
    for source in ("mnasnet", "random", "fixed"):
        for number in range(1, 1 + (6 if source == "fixed" else evaluations)):
            latency = rng.normal(0.28 + 0.2 / number**0.6, 0.03) if source == "mnasnet" else rng.uniform(0.13, planned)
            accuracy = 0.9 - 0.01 / latency - abs(rng.normal(0, 0.02)) + (0.01 if source == "mnasnet" else 0)
            picked = {choice: options_of(choice)[int(rng.integers(len(options_of(choice))))] for choice in CHOICES}
            if source == "fixed" or number % 9:
                found.append({
                    "architecture": picked, "architecture_id": f"{int(rng.integers(16**12)):012x}",
                    "predicted_ms": float(latency), "loss": float(3 * (1 - accuracy)), "accuracy": float(accuracy),
                    "source": source, "number": number,
                })  # fmt: skip
    own = [row for row in found if row["source"] == "mnasnet" and row["predicted_ms"] <= planned]
    best = max(own, key=lambda row: row["accuracy"])
    best["architecture_id"] = result["network"]["architecture_id"]
    reason = f"the best of {len(own)} networks inside the budget, each trained alone"
    return {
        **result,
        "network": {**result["network"], "label": f"mnasnet over {evaluations} networks trained alone",
                    "weights": "scratch", "inherited_search_accuracy": None},
        "baselines": [
            row | {"label": label, "weights": "scratch", "inherited_search_accuracy": None}
            for row, label in zip(result["baselines"], (
                "the best fixed network", f"random search over {evaluations} networks trained alone",
            ), strict=False)
        ],
        "latency_model": None,
        "search": {
            "strategy": "mnasnet", "reward": "mnasnet-soft", "reason": reason, "evaluations": evaluations,
            "failed": evaluations // 9, "proposals": 3 * evaluations, "child_steps": 120,
            "images_seen": evaluations * 120 * 64, "best_score": best["accuracy"], "front": [], "train_steps": 800,
        },
        "candidates": found,
        "failed_candidates": [
            {"architecture_id": f"{index:012x}", "source": "trained-alone", "status": "failed", "reason": "it hung"}
            for index in range(2 * (evaluations // 9))
        ],
        "blocks": [row | {"latency_ms": None, "share": None} for row in result["blocks"]],
    }  # fmt: skip
