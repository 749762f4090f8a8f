"""Pieces of target images with what a network predicted before and after its adaptation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from anyscope.contracts import Labels, Task
from anyscope.errors import BadInput
from anyscope.reports import palette, pictures
from anyscope.reports.pictures import GalleryItem, Grey, Panel
from anyscope.reports.tiles import css, jpeg_uri
from anyscope.running.atomic import atomic_file

LEVELS = ("source", "target", "matched")
LEGEND = (
    (css(palette.REFERENCE), "before only: gone"),
    (css(palette.PREDICTION), "after only: new"),
    (css(palette.BOTH), "in both"),
)


FOUND = ((css(palette.PREDICTION), "what it finds"),)


@dataclass(frozen=True, eq=False)
class Scene:
    """One piece of a target image.

    Args:
        name: The image and the place in it.
        image: (y, x), as it is shown.
        before: Labels (y, x) before the adaptation, 0 background; None where there was no such network.
        after: Labels (y, x) after it.
        pixel_nm: Size of these pixels; None where unknown.
    """

    name: str
    image: Grey
    before: Labels | None
    after: Labels
    pixel_nm: float | None = None


@dataclass(frozen=True, eq=False)
class AdaptationPictures:
    """What an adaptation keeps for its page.

    Args:
        scenes: Pieces of target images.
        levels: Shares of grey levels (c, 256) of ``source``, ``target``, and ``matched``: the source, or the target,
            after its grey levels were changed; those that are known.
        before: Which network ``before`` stands for, in words.
        matched: Which images ``matched`` stands for, in words.
    """

    scenes: tuple[Scene, ...] = ()
    levels: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    before: str = ""
    matched: str = ""

    def save(self, path: Path) -> None:
        """Write them into one compressed file of arrays, whole or not at all."""
        arrays: dict[str, NDArray[np.generic]] = {
            "names": np.array([scene.name for scene in self.scenes], np.str_),
            "pixel_nm": np.array([scene.pixel_nm or np.nan for scene in self.scenes]),
            "words": np.array([self.before, self.matched], np.str_),
        }
        for number, scene in enumerate(self.scenes):
            arrays |= {f"image_{number}": scene.image, f"after_{number}": _small(scene.after)}
            if scene.before is not None:
                arrays[f"before_{number}"] = _small(scene.before)
        arrays |= {f"levels_{name}": each.astype(np.float32) for name, each in self.levels.items()}
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> AdaptationPictures:
        """What :meth:`save` wrote.

        Raises:
            BadInput: It is no such file.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                sizes = [float(size) for size in found["pixel_nm"]]
                scenes = tuple(
                    Scene(
                        str(name),
                        found[f"image_{number}"],
                        found.get(f"before_{number}"),
                        found[f"after_{number}"],
                        sizes[number] if np.isfinite(sizes[number]) else None,
                    )
                    for number, name in enumerate(found["names"])
                )
                levels = {name: found[f"levels_{name}"].astype(np.float64) for name in LEVELS
                          if f"levels_{name}" in found}  # fmt: skip
                before, matched = map(str, found["words"])
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            raise BadInput(path, f"cannot be read: {error}", "pictures that 'anyscope adapt' kept") from None
        return cls(scenes, levels, before, matched)


def _small(labels: Labels) -> NDArray[np.unsignedinteger]:
    """Labels in the smallest type that holds them."""
    return np.asarray(labels).astype(np.min_scalar_type(int(labels.max(initial=0))))


def scene_item(scene: Scene, task: Task) -> GalleryItem:
    """The views of a scene: the image, outlines before and after, and what changed."""
    shape = scene.image.shape[0], scene.image.shape[1]
    width = pictures.line_width(shape)
    nothing = np.zeros(shape, np.uint8)
    panels = [Panel("Image", f"{scene.name}: the image")]
    if scene.before is not None:
        layer = pictures.outlines(scene.before, nothing, width)
        panels.append(Panel("Before", f"{scene.name}: outlines before", (pictures.png_uri(layer),), 0.8))
    layer = pictures.outlines(nothing, scene.after, width)
    caption = "Outlines" if scene.before is None else "After"
    panels.append(Panel(caption, f"{scene.name}: outlines of what is found", (pictures.png_uri(layer),), 0.8))
    if scene.before is not None:
        found = (scene.before, scene.after)
        # Objects have other numbers before and after: whether anything is there is what can be compared.
        before, after = (each > 0 if task == "instances" else each for each in found)
        layer = pictures.errors(before.astype(np.int64), after.astype(np.int64))
        alt = f"{scene.name}: what was found before only, after only, and both times"
        panels.append(Panel("Change", alt, (pictures.png_uri(layer),), 0.5))
    bar = pictures.scale_bar(shape[1], scene.pixel_nm) if scene.pixel_nm else None
    return GalleryItem(scene.name, _note(scene), jpeg_uri(scene.image), shape[1], shape[0], tuple(panels), bar)


def _note(scene: Scene) -> str:
    after = float((scene.after > 0).mean())
    if scene.before is None:
        return f"foreground {after:.1%}"
    before, both = float((scene.before > 0).mean()), float(((scene.before > 0) & (scene.after > 0)).mean())
    either = before + after - both
    alike = f", IoU of the two {both / either:.2f}" if either else ""
    return f"foreground {before:.1%} before, {after:.1%} after{alike}"


def unchanged(scenes: Sequence[Scene]) -> bool:
    """Whether what is predicted is the same before and after in all scenes."""
    return all(scene.before is not None and np.array_equal(scene.before, scene.after) for scene in scenes)
