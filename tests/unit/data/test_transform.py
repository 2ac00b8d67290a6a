from __future__ import annotations

import math

import pytest
import torch

from hwnas.core.errors import UnknownName
from hwnas.data.images import ImageData
from hwnas.data.options import AUGMENTATIONS
from hwnas.data.sampling import chunks
from hwnas.data.transform import augment, normalise


def batch(count: int = 64, channels: int = 3, height: int = 16, width: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)
    return images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_type_and_layout_are_kept_and_the_input_is_not_changed(kind, channels):
    images = batch(channels=channels)
    before = images.clone()
    result = augment(images, kind, 5)
    assert result.shape == images.shape
    assert result.dtype == torch.uint8
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", AUGMENTATIONS[1:])
def test_the_seed_alone_decides(kind):
    images = batch()
    torch.manual_seed(1)
    first = augment(images, kind, 5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(augment(images, kind, 5), first)
    assert not torch.equal(augment(images, kind, 6), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_sample_has_its_own_draw():
    same = batch(count=1).expand(64, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    for kind in AUGMENTATIONS[1:]:
        assert len({image.contiguous().numpy().tobytes() for image in augment(same, kind, 0)}) > 10


def test_shift_moves_by_at_most_an_eighth_and_repeats_the_edge():
    ramp = torch.arange(16, dtype=torch.uint8).view(1, 1, 1, 16).expand(400, 1, 16, 16).contiguous()
    shifted = augment(ramp, "shift", 0)
    seen = set()
    for image in shifted[:, 0]:
        row = image[0].tolist()
        right = row[8] - 8
        assert row == [min(max(x + right, 0), 15) for x in range(16)]
        seen.add(right)
    assert seen == {-2, -1, 0, 1, 2}


def test_vertical_shifts_are_drawn_apart_from_horizontal_ones():
    ramp = torch.arange(16, dtype=torch.uint8).view(1, 1, 16, 1).expand(400, 1, 16, 16).contiguous()
    downs = {int(image[8, 0]) - 8 for image in augment(ramp, "shift", 0)[:, 0]}
    assert downs == {-2, -1, 0, 1, 2}


def test_only_shift_flip_mirrors_about_half():
    ramp = torch.arange(16, dtype=torch.uint8).view(1, 1, 1, 16).expand(1000, 1, 16, 16).contiguous()

    def share(kind: str) -> float:
        moved = augment(ramp, kind, 0)[:, 0, 0]
        return float((moved[:, 12] < moved[:, 4]).float().mean())

    assert share("shift") == 0.0
    assert 0.42 < share("shift-flip") < 0.58
    assert share("affine") == 0.0


def test_affine_keeps_a_flat_image_flat_and_a_centred_disc_near_the_centre():
    flat = torch.full((50, 3, 16, 16), 200, dtype=torch.uint8)
    assert torch.equal(augment(flat, "affine", 0), flat)

    side = 32
    place = torch.arange(side) - (side - 1) / 2
    disc = ((place[:, None] ** 2 + place[None, :] ** 2) < 36).to(torch.uint8) * 255
    moved = augment(disc.expand(200, 1, side, side), "affine", 0)[:, 0].float()
    mass = moved.sum(dim=(1, 2))
    centre = (moved.sum(dim=1) * place).sum(dim=1) / mass
    assert side / 8 - 0.5 < float(centre.abs().max()) < side / 8 + 0.1
    # Area grows with the square of the scale, 0.9 to 1.1.
    area = mass / 255 / (math.pi * 36)
    assert 0.75 < float(area.min()) < 0.9 < 1.1 < float(area.max()) < 1.27


def test_affine_turns_by_at_most_ten_degrees_on_wide_images_too():
    height, width = 33, 65
    bar = torch.zeros((300, 1, height, width), dtype=torch.uint8)
    bar[:, :, 15:18, 16:49] = 255
    moved = augment(bar, "affine", 0)[:, 0].double()
    y = torch.arange(height, dtype=torch.float64).view(1, -1, 1)
    x = torch.arange(width, dtype=torch.float64).view(1, 1, -1)
    mass = moved.sum(dim=(1, 2), keepdim=True)
    dy = y - (moved * y).sum(dim=(1, 2), keepdim=True) / mass
    dx = x - (moved * x).sum(dim=(1, 2), keepdim=True) / mass
    slope = 2 * (moved * dx * dy).sum(dim=(1, 2)) / (moved * (dx**2 - dy**2)).sum(dim=(1, 2))
    degrees = torch.rad2deg(0.5 * torch.atan(slope)).abs()
    assert 8 < float(degrees.max()) < 10.5


def test_an_unknown_kind_offers_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'shift-flip'"):
        augment(batch(), "shift-flipp", 0)


def test_normalised_training_images_have_mean_0_and_deviation_1(mnist5k: ImageData):
    parts = [normalise(images, mnist5k, "cpu") for images, _ in mnist5k.train.batches(chunks(len(mnist5k.train), 500))]
    whole = torch.cat(parts).double()
    assert parts[0].dtype == torch.float32
    assert parts[0].is_contiguous(memory_format=torch.channels_last)
    assert abs(float(whole.mean())) < 1e-4
    assert abs(float(whole.std(correction=0)) - 1) < 1e-4


def test_normalise_leaves_its_input_alone_even_if_it_is_float(mnist5k: ImageData):
    images = torch.full((2, 1, 28, 28), 7.0).contiguous(memory_format=torch.channels_last)
    normalise(images, mnist5k, "cpu")
    assert torch.equal(images, torch.full((2, 1, 28, 28), 7.0))
