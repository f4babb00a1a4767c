"""Transforms of images against PIL, numpy and maps that are known exactly."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from metanas_pl.data.episodes import transforms


def photo(n: int = 3, channels: int = 3, side: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, side, side), dtype=np.uint8)


def warped(image: Tensor, angle: float = 0.0, shift: float = 0.0) -> Tensor:
    ones = torch.ones(1)
    shifts = torch.tensor([[2 * shift / image.shape[-1], 0.0]])
    return transforms.warp(image[None, None], angle * ones, ones, shifts)[0, 0]


def test_a_quarter_turn_and_a_shift_of_one_pixel_are_exact() -> None:
    image = torch.rand(6, 6)
    torch.testing.assert_close(warped(image, math.pi / 2), image.rot90(1))
    moved = warped(image, shift=1.0)
    torch.testing.assert_close(moved[:, :-1], image[:, 1:])
    torch.testing.assert_close(moved[:, -1], image[:, -1])  # the border repeats


def test_scale_and_turn_as_pil_does_them() -> None:
    """PIL maps output to input positions, too, about the middle; it samples black outside."""
    pixels = photo(1, 1, 11)[0, 0]
    angle, scale, middle = 0.3, 0.8, 11 / 2
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    offsets = middle - cos * middle + sin * middle, middle - sin * middle - cos * middle
    matrix = (cos, -sin, offsets[0], sin, cos, offsets[1])
    image = Image.fromarray(pixels.astype(np.float32))
    expected = np.asarray(
        image.transform((11, 11), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    )
    x = torch.from_numpy(pixels).float()[None, None]
    found = transforms.warp(x, torch.tensor([angle]), torch.tensor([scale]), torch.zeros(1, 2))
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-3)


def test_a_crop_is_a_slice_of_the_padded_image() -> None:
    pixels = photo(4, 2, 5)
    down, right = [0, 6, 3, 2], [1, 0, 3, 6]
    found = transforms.crop(torch.from_numpy(pixels), torch.tensor(down), torch.tensor(right), 3)
    padded = np.pad(pixels, ((0, 0), (0, 0), (3, 3), (3, 3)))
    for k, (i, j) in enumerate(zip(down, right, strict=True)):
        np.testing.assert_array_equal(found[k].numpy(), padded[k, :, i : i + 5, j : j + 5])
    assert np.array_equal(found[2].numpy(), pixels[2])


def test_a_flip_is_that_of_pil() -> None:
    pixels = photo(2)
    found = transforms.flip(torch.from_numpy(pixels), torch.tensor([True, False])).numpy()
    mirrored = Image.fromarray(pixels[0].transpose(1, 2, 0)).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    )
    np.testing.assert_array_equal(found[0].transpose(1, 2, 0), np.asarray(mirrored))
    np.testing.assert_array_equal(found[1], pixels[1])


def test_colours_as_pil_enhances_them() -> None:
    """PIL rounds to whole levels on its way, and the mean of a picture, too: two levels apart at most."""
    pixels, factors = photo(), (0.4, 1.0, 1.5)
    enhancers = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
    }
    for name, enhancer in enhancers.items():
        images = torch.from_numpy(pixels).float() / 255
        found = getattr(transforms, name)(images, torch.tensor(factors)) * 255
        for x, image, factor in zip(found, pixels, factors, strict=True):
            expected = enhancer(Image.fromarray(image.transpose(1, 2, 0))).enhance(factor)
            np.testing.assert_allclose(x.numpy().transpose(1, 2, 0), np.asarray(expected), atol=2)


def test_a_grey_image_has_contrast_but_no_saturation() -> None:
    images, half = torch.rand(2, 1, 5, 5), torch.full((2,), 0.5)
    torch.testing.assert_close(transforms.saturation(images, half), images)
    mean = images.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(transforms.contrast(images, half), (images + mean) / 2)
