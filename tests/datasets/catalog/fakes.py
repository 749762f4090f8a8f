"""Small fakes of published layouts, and what must become of them. Every dataset of the catalog has one.

A fake writes below its root the contents of each archive in a folder named as the catalog names it, and loose files
beside them, in the encodings of the publishers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import tifffile

from anyscope.datasets.catalog import CATALOG

LITTER = "__MACOSX"


@dataclass
class Expected:
    """Images and labels by stem, each (z, y, x), and what else must be there."""

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    parts: dict[str, set[str]]
    unlabelled: dict[str, np.ndarray] = field(default_factory=dict)


FAKES: dict[str, Callable[[Path], Expected]] = {}


def fake(*names):
    def register(function):
        for name in names:
            FAKES[name] = lambda root, name=name: function(root, name)
        return function

    return register


def volume(seed, shape, dtype=np.uint8):
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def blobs(shape, seed=0):
    """Objects as ids (z, y, x): two of them touch, one is apart, and they are seen in every plane and every half."""
    ids = np.zeros(shape, np.uint16)
    y, x = shape[1:]
    ids[:, 2 : y // 2, 2 : x // 4] = 7
    ids[:, 2 : y // 2, x // 4 : x // 2 - 2] = 9
    ids[:, y // 2 + 4 : y - 2, 3 : x // 2 - 3] = 4
    ids[:, 3 : y - 5, x // 2 + 4 : x - 3] = 12 + seed
    return ids


def png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, pixels)


def tif(path, pixels):
    """Pages without a word about axes, as most publishers write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(path) as file:
        for plane in pixels if pixels.ndim == 3 else [pixels]:
            file.write(plane, photometric="minisblack", metadata=None, contiguous=False)


def rgba(grey):
    return np.dstack([grey, grey, grey, np.full_like(grey, 255)])


def folder_of(name, number=0):
    folder = CATALOG[name].files[number].folder
    assert folder is not None
    return folder


@fake("lucchi")
def lucchi(root, name):
    images = {"train": volume(1, (20, 40, 48)), "test": volume(2, (12, 40, 48))}
    ids = {stem: blobs(image.shape) for stem, image in images.items()}
    for stem, part in (("train", "training"), ("test", "testing")):
        tif(root / f"{part}.tif", images[stem])
        tif(root / f"{part}_groundtruth.tif", (255 * (ids[stem] > 0)).astype(np.uint8))
    labels = {stem: (one > 0).astype(np.uint8) for stem, one in ids.items()}
    return Expected(images, labels, {"train": {"train"}, "val": {"train"}, "test": {"test"}})


@fake("lucchi++", "kasthuri++")
def casser(root, name):
    inside = root / folder_of(name) / CATALOG[name].title
    shapes = {"train": (12, 40, 48), "test": (11, 36, 52)}
    images = {stem: volume(number, shape) for number, (stem, shape) in enumerate(shapes.items())}
    labels = {stem: (blobs(shape) > 0).astype(np.uint8) for stem, shape in shapes.items()}
    for stem, part in (("train", "Train"), ("test", "Test")):
        for z, plane in enumerate(images[stem]):
            png(inside / f"{part}_In" / f"mask{z:04d}.png", plane)
            grey = 255 * labels[stem][z]
            if name == "kasthuri++":
                grey[:3] = 2
                png(inside / f"{part}_Out" / f"mask{z:04d}.png", np.dstack([grey, grey, grey]))
            else:  # names without leading zeros: 10 comes after 9
                png(inside / f"{part}_Out" / f"{z}.png", rgba(grey))
        if name == "kasthuri++":
            labels[stem][:, :3] = 255
    png(root / folder_of(name) / LITTER / CATALOG[name].title / "Train_In" / "._mask0000.png", volume(9, (4, 4)))
    return Expected(images, labels, {"train": {"train"}, "val": {"train"}, "test": {"test"}})


@fake("vnc")
def vnc(root, name):
    inside = root / folder_of(name) / "groundtruth-drosophila-vnc-master"
    image, ids = volume(3, (6, 64, 96)), blobs((6, 64, 96))
    # The quarter above is val, below it is train: both need objects, which these are.
    grey = np.where(ids > 0, 255, 0).astype(np.uint8)
    soft = (ids == 0) & (np.roll(ids, 1, axis=1) > 0)
    grey[soft] = 30
    for z in range(6):
        tif(inside / "stack1" / "raw" / f"{z:02d}.tif", image[z])
        png(inside / "stack1" / "mitochondria" / f"{z:02d}.png", grey[z])
        png(inside / "stack1" / "synapses" / f"{z:02d}.png", volume(z, (64, 96)))
        tif(inside / "stack2" / "raw" / f"{z:02d}.tif", volume(50 + z, (64, 96)))
    other = np.stack([volume(50 + z, (64, 96)) for z in range(6)])
    parts = {part: {"stack1"} for part in ("train", "val", "test")}
    return Expected({"stack1": image}, {"stack1": (grey > 0).astype(np.uint8)}, parts, {"stack2": other})


@fake("snemi3d")
def snemi3d(root, name):
    inside = root / folder_of(name)
    image, ids, hidden = volume(4, (20, 32, 40)), blobs((20, 32, 40)), volume(5, (20, 32, 40))
    tif(inside / "image" / "train-input.tif", image)
    tif(inside / "image" / "test-input.tif", hidden)
    tif(inside / "seg" / "train-labels.tif", ids)
    parts = {part: {"train"} for part in ("train", "val", "test")}
    return Expected({"train": image}, {"train": ids}, parts, {"test": hidden})


@fake("mitoem-r", "mitoem-h")
def mitoem(root, name):
    images, labels = root / folder_of(name, 0), root / folder_of(name, 1)
    stack, ids = volume(6, (16, 40, 44)), blobs((16, 40, 44))
    for z, plane in enumerate(stack):
        png(images / "im" / f"im{z:04d}.png", plane)
    png(images / LITTER / "im" / "._im0000.png", volume(9, (4, 4)))
    for z in range(10):
        tif(labels / "mito-train-v2" / f"seg{z:04d}.tif", ids[z])
    for z in range(10, 13):
        tif(labels / "mito-val-v2" / f"seg{z:04d}.tif", ids[z])
    return Expected(
        {"train": stack[:10], "test": stack[10:13]},
        {"train": ids[:10], "test": ids[10:13]},
        {"train": {"train"}, "val": {"train"}, "test": {"test"}},
        {"test": stack[13:]},
    )


@fake("isbi2012")
def isbi2012(root, name):
    inside = root / folder_of(name)
    images = {"train": volume(7, (10, 40, 48)), "test": volume(8, (10, 40, 48))}
    labels = {}
    for stem, image in images.items():
        # Neurites between membranes: the touching pair becomes two pieces, numbered in the order of their first pixel.
        white = np.zeros(image.shape, np.uint8)
        white[:, 2:18, 2:20], white[:, 2:18, 22:46], white[:, 20:38, 2:46] = 255, 255, 255
        tif(inside / f"{stem}-volume.tif", image)
        tif(inside / f"{stem}-labels.tif", white)
        labels[stem] = np.zeros(image.shape, np.uint16)
        labels[stem][:, 2:18, 2:20], labels[stem][:, 2:18, 22:46], labels[stem][:, 20:38, 2:46] = 1, 2, 3
    (inside / "challenge-error-metrics.bsh").write_text("// a script\n")
    return Expected(images, labels, {"train": {"train"}, "val": {"train"}, "test": {"test"}})


def nuclei(seed):
    """An image in 16 bits and its nuclei, a touching pair among them."""
    ids = np.zeros((1, 32, 40), np.uint16)
    ids[0, 4:12, 4:10], ids[0, 4:12, 10:18] = 1, 2
    ids[0, 18 : 24 + seed % 4, 20:34] = 3
    return volume(seed, (32, 40), np.uint16), ids


@fake("dsb2018", "dsb2018-fixed")
def bowl(root, name):
    train = root / folder_of(name) if name == "dsb2018" else (
        root / folder_of(name) / "kaggle-dsbowl-2018-dataset-fixes-master" / "stage1_train"
    )  # fmt: skip
    images, labels, rows = {}, {}, ["ImageId,EncodedPixels,Height,Width,Usage"]
    for number in range(8):
        stem = f"{number:02d}ab"
        image, ids = nuclei(number)
        grey = (image % 250).astype(np.uint8)
        images[stem], labels[stem] = grey[None], ids
        place = train if number < 6 else root / "stage1_test"
        png(place / stem / "images" / f"{stem}.png", rgba(grey))
        for one in (1, 2, 3):
            if number < 6:
                png(place / stem / "masks" / f"{one}f.png", (255 * (ids[0] == one)).astype(np.uint8))
                continue
            flat = (ids[0] == one).T.ravel()  # down the columns, counted from 1
            edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
            runs = " ".join(f"{first + 1} {last - first}" for first, last in edges.reshape(-1, 2))
            rows.append(f"{stem},{runs},32,40,Public")
    rows.append("ffff,1 2,32,40,Ignored")
    (root / "stage1_solution.csv").write_text("\n".join(rows) + "\n")
    training = {f"{number:02d}ab" for number in range(6)}
    return Expected(images, labels, {"train|val": training, "test": {"06ab", "07ab"}})


@fake("dsb2018-stardist")
def stardist(root, name):
    inside = root / folder_of(name) / "dsb2018"
    images, labels = {}, {}
    for number in range(8):
        stem, part = f"{number:02d}ab", "train" if number < 6 else "test"
        image, ids = nuclei(number)
        tif(inside / part / "images" / f"{stem}.tif", image)
        tif(inside / part / "masks" / f"{stem}.tif", ids[0])
        images[stem], labels[stem] = image[None], ids
    return Expected(images, labels, {"train|val": set(list(images)[:6]), "test": set(list(images)[6:])})


@fake("bbbc039")
def bbbc039(root, name):
    images, labels, parts = {}, {}, {"train": set(), "val": set(), "test": set()}
    lists = {"train": "training.txt", "val": "validation.txt", "test": "test.txt"}
    for number in range(7):
        stem = f"IXMtest_A{number:02d}_s1_w1{number:04X}"
        part = ("train", "train", "train", "train", "val", "test", "test")[number]
        image, ids = nuclei(number)
        tif(root / "images" / "images" / f"{stem}.tif", image)
        # Red tells touching nuclei apart; the other channels mean something else.
        red = np.where(ids[0] == 2, 2, ids[0] > 0).astype(np.uint8)
        png(root / "masks" / "masks" / f"{stem}.png", np.dstack([red, 0 * red, 3 * red, np.full_like(red, 255)]))
        images[stem], labels[stem] = image[None], ids
        parts[part].add(stem)
    for part, file in lists.items():
        path = root / "metadata" / "metadata" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(f"{stem}.png" for stem in sorted(parts[part])) + "\n")
    return Expected(images, labels, parts)


@fake("bbbc006", "bbbc006-defocus")
def bbbc006(root, name):
    images, labels = {}, {}
    for number in (0, 1, 2, 5, 17):  # wells of every part: the split is by their names
        for site in (1, 2):
            stem = f"mcf-z-stacks-03212011_a{number + 1:02d}_s{site}"
            image, ids = nuclei(2 * number + site)
            folder = root / folder_of(name, 0) / folder_of(name, 0)
            tif(folder / f"{stem}_w1{number:08x}-aa.tif", image)
            tif(folder / f"{stem}_w2{number:08x}-bb.tif", volume(number, (32, 40), np.uint16))
            png(root / folder_of(name, 1) / "BBBC006_v1_labels" / f"{stem}.png", ids[0].astype(np.uint8))
            images[stem], labels[stem] = image[None], ids
    return Expected(images, labels, {"train|val|test": set(images)})


@fake("er-network", "mito-network")
def organelles(root, name):
    images, labels = {}, {}
    for part, count in (("train", 6), ("test", 2)):
        for number in range(count):
            image, ids = nuclei(number + 10 * (part == "test"))
            inside = root / folder_of(name) / folder_of(name) / part
            tif(inside / "images" / f"{number}_h384_w384.tif", image)
            tif(inside / "masks" / f"{number}_h384_w384.tif", (255 * (ids[0] > 0)).astype(np.uint8))
            stem = f"{part}-{number}_h384_w384"
            images[stem], labels[stem] = image[None], (ids > 0).astype(np.uint8)
    train = {stem for stem in images if stem.startswith("train")}
    return Expected(images, labels, {"train|val": train, "test": set(images) - train})
