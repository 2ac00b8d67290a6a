"""What an engine of few bits chooses its ranges by."""

from __future__ import annotations

import numpy as np
import torch

from hwnas.compose.data import open_data
from hwnas.config import FitConfig, checked_settings
from hwnas.data.stream import evaluation_batches
from hwnas.workflows.delivery import CALIBRATION_IMAGES, calibration_images


def test_they_are_of_every_class_unaugmented_and_always_the_same() -> None:
    data = open_data(checked_settings(FitConfig, {"data": "mnist5k", "budget": "1ms"}))
    found = calibration_images(data)
    assert found.shape == (CALIBRATION_IMAGES, *data.input_shape) and found.dtype == np.float32
    label_of = {
        image.tobytes(): int(label)
        for images, labels in evaluation_batches(data, data.train, 500, torch.device("cpu"))
        for image, label in zip(images.contiguous().numpy(), labels, strict=True)
    }
    counts = np.bincount([label_of[image.tobytes()] for image in found], minlength=10)
    assert counts.min() >= CALIBRATION_IMAGES // 30, counts
    np.testing.assert_array_equal(found, calibration_images(data))
