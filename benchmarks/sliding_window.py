"""Large tiles with small halos beside MONAI's sliding window: ``python -m benchmarks.sliding_window [RUN DATASET]``.

The same network predicts the same images three ways, in turn: as this project does by default (tiles as large as memory
allows), with tiles of 512 pixels, and by ``monai.inferers.sliding_window_inference`` with windows of 256 pixels that
overlap by half, blended by a Gaussian. With a trained run and a dataset the images are the largest ones of its test
part, and the foreground IoU of each way is given; without them it is a random network on noise of 1024 x 1024. The
ratios are of pairs within one round, median and range; MONAI must be installed.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from anyscope.datasets import open_dataset
from anyscope.inference import InferenceSettings, predict_maps
from anyscope.models import Segmenter, build_segmenter, load_segmenter
from benchmarks._networks import SPEC

ROUNDS, IMAGES, WINDOW, TILE = 5, 4, 256, 512
Way = Callable[[np.ndarray], np.ndarray]


def ways(segmenter: Segmenter) -> dict[str, Way]:
    """From an image (c, 1, y, x) to the probability of the mask (y, x)."""
    from monai.inferers import sliding_window_inference

    def windows(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = sliding_window_inference(
                torch.from_numpy(image[:, 0][None]), (WINDOW, WINDOW), 4, segmenter, overlap=0.5, mode="gaussian"
            )
        return torch.sigmoid(logits[0, 0]).numpy()

    def tiles(tile: int | None) -> Way:
        settings = InferenceSettings(tile=tile, device="cpu")
        return lambda image: predict_maps(segmenter, image, settings=settings)[0, 0]

    return {"as memory allows": tiles(None), f"tiles of {TILE}": tiles(TILE), "MONAI": windows}


def images(segmenter: Segmenter, data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The largest test images in 0..1 with their masks, at the network's own pixels."""
    regions = sorted(open_dataset(data).labelled("test"), key=lambda region: -region.roi.size)[:IMAGES]
    units = [region.planes(0, 1).read_unit(segmenter.spec.intensity) for region in regions]
    masks = [region.planes(0, 1).read_reference("semantic")[0][0] > 0 for region in regions]
    return list(zip(units, masks, strict=True))


def main(arguments: Sequence[str] = ()) -> None:
    """Print a line for each way."""
    if arguments:
        segmenter = load_segmenter(Path(arguments[0])).eval()
        shown = images(segmenter, Path(arguments[1]))
    else:
        segmenter = build_segmenter(SPEC, seed=0).eval()
        noise = np.random.default_rng(0).random((1, 1, 1024, 1024), dtype=np.float32)
        shown = [(noise, np.zeros((1024, 1024), bool))]
    parameters = sum(parameter.numel() for parameter in segmenter.parameters())
    shapes = ", ".join(" x ".join(str(length) for length in mask.shape) for _, mask in shown)
    print(f"{segmenter.spec.model}, {parameters / 1e6:.2f} M parameters, {shapes}, {torch.get_num_threads()} thread(s)")
    chosen = ways(segmenter)
    times: dict[str, list[float]] = {name: [] for name in chosen}
    found: dict[str, list[np.ndarray]] = {}
    for _ in range(ROUNDS + 1):
        for name, predict in chosen.items():
            started = time.perf_counter()
            found[name] = [predict(image) > 0.5 for image, _ in shown]
            times[name].append(time.perf_counter() - started)
    for name, seconds in times.items():
        ratios = [theirs / ours for theirs, ours in zip(times["MONAI"][1:], seconds[1:], strict=True)]
        both = sum(int((one & mask).sum()) for one, (_, mask) in zip(found[name], shown, strict=True))
        either = sum(int((one | mask).sum()) for one, (_, mask) in zip(found[name], shown, strict=True))
        iou = f", foreground IoU {both / either:.4f}" if arguments else ""
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:18s} {statistics.median(seconds[1:]):6.2f} s, MONAI's time over it {ratio}{iou}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
