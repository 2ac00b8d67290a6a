"""What a supernet costs beside plain training: time and saved activations of each kind of step. Prints JSON.

Pass marks: a weight step at most 1.10 times the plain training step of the same paths, an architecture step at most 0.9
times a weight step (medians of interleaved pairs of process CPU time); saved activations of a weight step at most 1.02
times plain training's (exact). All paths at once (DARTS) stand beside them.

    python benchmarks/supernet_steps.py --space proxyless-small --resolution 28 --channels 1 --batch 64 --pairs 200
"""

import argparse
import json
import time
from functools import partial
from statistics import median

import torch
from torch.nn import functional

from hwnas import compose
from hwnas.core.cost import CostTerms
from hwnas.core.counted import MacsModel
from hwnas.core.objective import AbsoluteLoss
from hwnas.core.seeds import rng_for
from hwnas.nn.build import build
from hwnas.nn.gates import Gates
from hwnas.nn.supernet import PathSupernet
from hwnas.runs.provenance import environment
from hwnas.strategies.proxyless_g import architecture_step
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import weight_step
from hwnas.training.recipe import Recipe


def cpu_seconds(run) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def saved_bytes(run, modules) -> int:
    """Unique storages that autograd keeps for the backward pass, parameters and running statistics left out."""
    kept = {}
    own = {t.untyped_storage().data_ptr() for m in modules for t in (*m.parameters(), *m.buffers())}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), storage)  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    del result
    return sum(size for size, _ in kept.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--space", default="proxyless-small")
    parser.add_argument("--resolution", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)

    space = compose.open_space(options.space, (options.channels, options.resolution, options.resolution), 10)
    supernet = TrainingDevice("cpu").place(PathSupernet(space, options.seed)).train()
    gates = Gates(space.choices, rng_for(options.seed, "gates"))
    terms: CostTerms = MacsModel().terms(space)
    recipe, device = Recipe(batch_size=options.batch), TrainingDevice("cpu")
    sgd = partial(torch.optim.SGD, lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
    weights, alpha = sgd(supernet.parameters()), torch.optim.Adam([gates.alpha], lr=0.0, betas=(0.0, 0.999))
    generator = torch.Generator().manual_seed(options.seed)
    shape = (options.batch, *space.input_shape)
    images = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (options.batch,), generator=generator)
    mixture = gates.probabilities().requires_grad_(True)

    def all_paths() -> torch.Tensor:
        return functional.cross_entropy(supernet.forward_all_paths(images, mixture), labels)

    rows = {"plain": [], "weight": [], "architecture": [], "all_paths": []}
    memory = {"plain": [], "weight": [], "architecture": []}
    for pair in range(-3, options.pairs):
        path = gates.sample(rng_for(options.seed, "path", pair))
        plain = device.place(build(space.decode(path))).train()
        plain_weights = sgd(plain.parameters())
        weight_step(plain, images, labels, plain_weights, recipe, device)  # momentum exists in both from here on
        steps = {
            "plain": lambda net=plain, opt=plain_weights: weight_step(net, images, labels, opt, recipe, device),
            "weight": lambda arch=path: weight_step(
                partial(supernet, arch=arch), images, labels, weights, recipe, device
            ),
            "architecture": lambda step=pair: architecture_step(
                supernet, gates, images, labels, terms, 0.5 * terms.greatest(), AbsoluteLoss(), alpha,
                rng_for(options.seed, "pairs", step), device,
            ),
        }  # fmt: skip
        order = list(steps) if pair % 2 else list(steps)[::-1]
        if pair % 20 == 0:
            steps["all_paths"] = lambda: all_paths().backward()
            order.append("all_paths")
        taken = {name: cpu_seconds(steps[name]) for name in order}
        supernet.zero_grad(set_to_none=True)
        if pair < 0:
            continue
        for name, seconds in taken.items():
            rows[name].append(seconds)
        if pair < 12:
            for name, forward in (("plain", plain), ("weight", partial(supernet, arch=path))):
                loss = lambda run=forward: functional.cross_entropy(run(images), labels)  # noqa: E731
                memory[name].append(saved_bytes(loss, [plain, supernet]))
            memory["architecture"].append(_two_path_bytes(supernet, gates, images, labels, pair))
    ratio_weight = median(w / p for w, p in zip(rows["weight"], rows["plain"], strict=True))
    ratio_architecture = median(rows["architecture"]) / median(rows["weight"])
    ratio_memory = sum(memory["weight"]) / sum(memory["plain"])
    print(json.dumps({
        "benchmark": "supernet_steps", "settings": vars(options), "machine": environment(),
        "cpu_ms": {name: round(1000 * median(values), 2) for name, values in rows.items()},
        "weight_over_plain": round(ratio_weight, 4),
        "architecture_over_weight": round(ratio_architecture, 4),
        "all_paths_over_plain": round(median(rows["all_paths"]) / median(rows["plain"]), 3),
        "saved_activation_mib": {
            **{name: round(sum(values) / len(values) / 2**20, 3) for name, values in memory.items()},
            "all_paths": round(saved_bytes(all_paths, [supernet]) / 2**20, 3),
        },
        "weight_over_plain_activations": round(ratio_memory, 5),
        "passes": {
            "weight step <= 1.10 plain": ratio_weight <= 1.10,
            "architecture step <= 0.9 weight": ratio_architecture <= 0.9,
            "activations <= 1.02 plain": ratio_memory <= 1.02,
        },
    }, indent=2))  # fmt: skip


def _two_path_bytes(supernet, gates, images, labels, step) -> int:
    from hwnas.nn.supernet import frozen

    pairs = gates.sample_pairs(rng_for(0, "memory", step))
    switch = torch.tensor([1.0, 0.0]).repeat(len(gates.alpha), 1).requires_grad_(True)

    def run() -> torch.Tensor:
        with frozen(supernet):
            return functional.cross_entropy(
                supernet.forward_two_paths(images, pairs.active, pairs.other, switch), labels
            )

    return saved_bytes(run, [supernet])


if __name__ == "__main__":
    main()
