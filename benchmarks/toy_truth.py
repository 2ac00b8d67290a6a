"""Trains every network of the toy space with three seeds and writes the truth beside the space. Prints JSON.

python benchmarks/toy_truth.py
"""

import json
from pathlib import Path
from statistics import fmean, pstdev

import torch

import hwnas.spaces.toy as toy
from hwnas import compose
from hwnas.core.counted import MacsModel
from hwnas.core.protocols import NoCheckpoints, Silence
from hwnas.core.seeds import seed_for
from hwnas.evaluation.standalone import score
from hwnas.nn.build import build, initialise
from hwnas.training.device import TrainingDevice
from hwnas.training.fit import train
from hwnas.training.recipe import Recipe

STEPS, SEEDS = 800, 3
RECIPE = Recipe(lr=0.2, label_smoothing=0.0, weight_decay=1e-5, batch_size=64, average_share=0.0)


def main() -> None:
    torch.set_num_threads(1)
    data, space, device = compose.toy_data(), toy.ToySpace(), TrainingDevice("cpu")
    terms = MacsModel().terms(space)
    rows = []
    for arch in space.choices.enumerate():
        accuracies = []
        for seed in range(SEEDS):
            network = build(space.decode(arch))
            initialise(network, seed_for(seed, "toy", arch.id))
            trained = train(
                network, data, RECIPE, steps=STEPS, seed=seed, purpose="toy", device=device,
                checkpoints=NoCheckpoints(), progress=Silence(),
            )  # fmt: skip
            accuracies.append(score(trained, data, data.test, device).quality.accuracy)
        rows.append({
            "options": [option for _, option in arch.choices],
            "receptive_field": toy.receptive_field(arch),
            "macs": int(terms.total(arch)),
            "accuracy": round(fmean(accuracies), 4),
            "deviation": round(pstdev(accuracies), 4),
        })  # fmt: skip
    truth = {"steps": STEPS, "seeds": SEEDS, "test_images": len(data.test), "networks": rows}
    Path(toy.__file__).with_name("toy_truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    print(json.dumps(truth))


if __name__ == "__main__":
    main()
