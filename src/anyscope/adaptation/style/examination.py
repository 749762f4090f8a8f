"""A translator looked at after some epochs: pictures before and after, numbers, alarms; in the folder of the step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anyscope.adaptation.style.hallucination import Examination, compare_foreground, compare_structure, planes_of
from anyscope.adaptation.style.images import STILL, DomainImages, middle_slice
from anyscope.contracts import HeadLayout
from anyscope.inference.activation import activate
from anyscope.models.translator import Translator
from anyscope.running.atomic import atomic_file, write_text

PATCHES, PATCH_PX = 4, 256
_SOURCE_PATCHES = 16
FINDINGS = "findings.json"
PICTURES = "pictures"


@dataclass(frozen=True)
class Examiner:
    """Looks at the translator of a segmenter with some fixed images of the target.

    Args:
        images: The segmenter and where its images come from.
        inputs: Images [B, C, H, W] of the target in 0..1, as they are before the input transform.
        source: Share of foreground in the labels of the source.
        back: The way back, where one is learned.
    """

    images: DomainImages
    inputs: torch.Tensor
    source: float
    back: Translator | None = None

    @classmethod
    def of(cls, images: DomainImages, back: Translator | None = None) -> Examiner:
        """With patches as large as the pictures that are kept."""
        fixed = DomainImages.of(images.work, patch_px=PATCH_PX, batch=PATCHES, flips=False).work
        inputs = fixed.batch(fixed.target_patches("examination", augmentation=STILL), 0, PATCHES)["images"]
        labels = fixed.batch(fixed.source_patches("examination", augmentation=STILL), 0, _SOURCE_PATCHES)
        share = float((labels["targets"][:, 0] > 0.5)[labels["valid"]].float().mean())
        return cls(images, inputs, share, back)

    @torch.no_grad()
    def look(self, epoch: int) -> Examination:
        """Examine the translator as it is, and keep pictures and numbers of the epoch."""
        segmenter = self.images.work.segmenter
        training = segmenter.training
        segmenter.eval()
        with segmenter.seeing(self.images.plain):
            before, predicted_before = segmenter.transform_input(self.inputs), self._foreground(self.inputs)
        after, predicted_after = segmenter.transform_input(self.inputs), self._foreground(self.inputs)
        returned = None
        if self.back is not None:
            with segmenter.seeing(segmenter.spec.input.model_copy(update={"levels": ()})):
                returned = self._foreground(self.back(after))
        segmenter.train(training)
        shown = [
            middle_slice(each, segmenter.spec.channels, segmenter.spec.neighbours).cpu().numpy()
            for each in (before, after)
        ]
        structure, invented = compare_structure(*(planes_of(each) for each in shown))
        channels = segmenter.spec.channels
        anywhere = np.logical_or.reduce(invented.reshape(-1, channels, *invented.shape[1:]), axis=1)
        foreground = compare_foreground(predicted_before, predicted_after, anywhere, self.source, returned)
        found = Examination(structure, foreground)
        _save_pictures(pictures_file(self.images.work.folder, epoch), *shown)
        _record(self.images.work.folder / FINDINGS, epoch, found)
        return found

    def _foreground(self, images: torch.Tensor) -> NDArray[np.bool_]:
        spec = self.images.work.segmenter.spec
        maps = activate(self.images.work.segmenter(images), spec.layout)
        return mask_foreground(maps, spec.layout)


def mask_foreground(maps: torch.Tensor, layout: HeadLayout) -> NDArray[np.bool_]:
    """Foreground [B, H, W] of activated maps [B, K, H, W]: of classes, wherever background is not the likeliest."""
    mask = maps[:, layout.logits["mask"]]
    chosen = mask.argmax(dim=1) > 0 if mask.shape[1] > 1 else mask[:, 0] > 0.5
    return chosen.cpu().numpy()


def pictures_file(folder: Path, epoch: int) -> Path:
    """Where ``before`` and ``after`` of an epoch are, arrays (n, c, y, x) of 8 bits."""
    return folder / PICTURES / f"{epoch:05}.npz"


def read_findings(folder: Path) -> dict[str, Any]:
    """What was found: ``epochs``, numbers and alarms of each that was examined, and ``alarms``, the whole in lines."""
    path = folder / FINDINGS
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"epochs": {}}
    return found


def _save_pictures(path: Path, before: NDArray[np.float32], after: NDArray[np.float32]) -> None:
    with atomic_file(path) as temporary:
        np.savez_compressed(temporary, before=_eight_bits(before), after=_eight_bits(after))


def _eight_bits(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(255 * images).astype(np.uint8)


def _record(path: Path, epoch: int, found: Examination) -> None:
    epochs = read_findings(path.parent)["epochs"]
    epochs[str(epoch)] = found.to_document()
    ordered = {key: epochs[key] for key in sorted(epochs, key=int)}
    document = {"alarms": _summary(ordered), "epochs": ordered}
    write_text(path, json.dumps(document, indent=2) + "\n")


def _summary(epochs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for each kind of alarm: in which epochs there was one, and how the last of them reads."""
    raised: dict[str, list[str]] = {}
    for epoch, document in epochs.items():
        for name in document["alarms"]:
            raised.setdefault(name, []).append(epoch)
    return [
        f"epoch{'s' if len(where) > 1 else ''} {', '.join(where)} of {len(epochs)} examined:"
        f" {epochs[where[-1]]['alarms'][name]}"
        for name, where in raised.items()
    ]
