"""How strong the attacks are beside independent ones: ``python -m benchmarks.attacks [--run DIR]``.

PGD beside that of ``torchattacks``, which works on logits of images as they are; SegPGD and CosPGD beside the losses,
starts and steps of ``cospgd``, the package of the authors of CosPGD, in a loop that is written here. Both sides have
the same network, images, radius, number of steps and length of a step, both start at random, and both are scored by the
pooled IoU after rounding to 8 bits. The algorithms are the same, so what is left is the chance of the random start: the
mean over some seeds is shown, with half the range.

Without ``--run`` a small U-Net is trained for a minute on synthetic nuclei. Another 16 synthetic nuclei images are
attacked in either case. adv-lib is no peer here: its attacks on segmentation (ASMA, DAG, ALMA-prox, PDPGD) look for the
smallest change that breaks an image, and know no radius. Its PGD only gives an image back if the image is all wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import nn

from anyscope.attacks import ATTACKS, Logits, Target, check_attack, class_logits, round_to_bits
from anyscope.images.intensity import to_unit
from anyscope.microscope import MICROSCOPES, synthesise
from anyscope.models import Segmenter, SegmenterSpec, build_segmenter, load_segmenter
from anyscope.training.losses import combined_loss

SHAPE = (96, 96)
IMAGES = 16
RADII = (2, 4, 8)
STEPS = (10, 40)
SEEDS = (0, 1)
TRAINING_STEPS = 400
SPEC = SegmenterSpec(model="unet_small", arguments={"filters": (8, 16, 32)}, task="semantic")
Peer = Callable[[Logits, torch.Tensor, torch.Tensor, float, float, int, int], torch.Tensor]


class AsModule(nn.Module):
    """Class logits as the module that other libraries ask for."""

    def __init__(self, network: Logits) -> None:
        super().__init__()
        self.network = network
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # where they look for the device

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class logits."""
        return self.network(images)


def torchattacks_pgd(
    network: Logits, images: torch.Tensor, labels: torch.Tensor, epsilon: float, step_size: float, steps: int, seed: int
) -> torch.Tensor:
    """PGD of torchattacks; its cross-entropy is the mean over all pixels."""
    import torchattacks

    torch.manual_seed(seed)
    return torchattacks.PGD(AsModule(network).eval(), eps=epsilon, alpha=step_size, steps=steps)(images, labels)


def of_cospgd(loss_of: str) -> Peer:
    """The loop that the functions of the package ``cospgd`` are made for, with one of its losses."""

    def attack(
        network: Logits,
        images: torch.Tensor,
        labels: torch.Tensor,
        epsilon: float,
        step_size: float,
        steps: int,
        seed: int,
    ) -> torch.Tensor:
        from cospgd import functions

        torch.manual_seed(seed)
        changed = functions.init_linf(images, epsilon)
        for step in range(steps):
            changed = changed.detach().requires_grad_()
            logits = network(changed)
            loss = nn.functional.cross_entropy(logits, labels, reduction="none")
            if loss_of == "segpgd":
                loss = functions.segpgd_scale(logits, labels, loss, step, steps)
            else:
                loss = functions.cospgd_scale(logits, labels, loss, num_classes=logits.shape[1]).mean()
            (gradient,) = torch.autograd.grad(loss, changed)
            changed = functions.step_inf(changed, epsilon, gradient, images, step_size, targeted=False)
        return changed

    return attack


PEERS: dict[str, Peer] = {"pgd": torchattacks_pgd, "segpgd": of_cospgd("segpgd"), "cospgd": of_cospgd("cospgd")}


def nuclei(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Synthetic images [B, 1, H, W] in 0..1 at 8-bit levels, and their masks [B, H, W]."""
    settings = MICROSCOPES["reference"].settings("nuclei")
    images, masks = [], []
    for index in range(count):
        made = synthesise("nuclei", settings, seed, index, SHAPE)
        low, high = np.percentile(made.image, (0.1, 99.9))
        images.append(to_unit(made.image, (float(low), float(high))))
        masks.append(made.labels > 0)
    batch = torch.from_numpy(np.stack(images))[:, None].clamp(0, 1)
    return (batch * 255).round() / 255, torch.from_numpy(np.stack(masks)).long()


def trained() -> Segmenter:
    """A small U-Net after a minute of training."""
    segmenter = build_segmenter(SPEC, seed=0).train()
    images, masks = nuclei(32, seed=1)
    loss_of = combined_loss("bce+dice")
    valid = torch.ones((4, *SHAPE), dtype=torch.bool)
    optimiser = torch.optim.AdamW(segmenter.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=TRAINING_STEPS)
    rng = np.random.default_rng(0)
    for _ in range(TRAINING_STEPS):
        chosen = torch.from_numpy(rng.choice(len(images), 4, replace=False))
        optimiser.zero_grad()
        loss_of(segmenter(images[chosen]), masks[chosen].float(), valid).backward()
        optimiser.step()
        schedule.step()
    return segmenter.eval()


@torch.no_grad()
def pooled_iou(network: Logits, images: torch.Tensor, masks: torch.Tensor) -> float:
    """IoU of the foreground over all images."""
    predicted, wanted = network(images).argmax(dim=1) > 0, masks > 0
    return float((predicted & wanted).sum() / (predicted | wanted).sum())


def compare(network: Logits, images: torch.Tensor, masks: torch.Tensor) -> None:
    """Print the IoU under our attacks and theirs."""
    target = Target(masks, torch.ones_like(masks, dtype=torch.bool))
    clean = pooled_iou(network, images, masks)
    count = len(images)
    print(f"IoU without attack {clean:.4f}, {count} images of {SHAPE[0]} x {SHAPE[1]} pixels, {len(SEEDS)} seeds")
    print(f"{'':<8}{'epsilon':>8}{'steps':>7}{'step':>7}{'ours':>18}{'peer':>18}{'noise':>9}   ratio of drops")
    for name, peer in PEERS.items():
        for steps, level in product(STEPS, RADII):
            epsilon = level / 255
            attack = ATTACKS[name](epsilon, steps=steps)
            step_size = attack.resolved_step_size
            scores: dict[str, list[float]] = {"ours": [], "peer": [], "noise": []}
            for seed in SEEDS:
                own = range(seed * count, (seed + 1) * count)
                for key, attacked in (
                    ("ours", attack(network, images, target, own)),
                    ("peer", peer(network, images, masks, epsilon, step_size, steps, seed)),
                    ("noise", ATTACKS["random_noise"](epsilon)(network, images, target, own)),
                ):
                    assert float((attacked - images).abs().max()) <= epsilon + 1e-6
                    scores[key].append(pooled_iou(network, round_to_bits(attacked, images, epsilon), masks))
            mean = {key: float(np.mean(values)) for key, values in scores.items()}
            half = {key: (max(values) - min(values)) / 2 for key, values in scores.items()}
            columns = "".join(f"{mean[key]:>9.4f} +-{half[key]:.4f}" for key in ("ours", "peer"))
            ratio = (clean - mean["ours"]) / (clean - mean["peer"])
            row = (
                f"{name:<8}{level:>4}/255{steps:>7}{step_size * 255:>7.3f}{columns}{mean['noise']:>9.4f}{ratio:>17.4f}"
            )
            print(row, flush=True)


def check(network: Logits, images: torch.Tensor, masks: torch.Tensor) -> None:
    """Print each attack as it is without settings, at all radii of the assay, and what the sanity checks say."""
    target = Target(masks, torch.ones_like(masks, dtype=torch.bool))
    clean = pooled_iou(network, images, masks)
    levels = (1, 2, 4, 8, 16, 32)
    control: dict[float, float] = {}
    print(f"{'IoU at':<14}" + "".join(f"{level:>5}/255" for level in levels) + f"{'seconds':>10}")
    for name in reversed(list(ATTACKS)):
        scores, begin = {}, time.perf_counter()
        for level in levels:
            attacked = ATTACKS[name](level / 255)(network, images, target, range(len(images)))
            scores[level / 255] = pooled_iou(network, round_to_bits(attacked, images, level / 255), masks)
        seconds = time.perf_counter() - begin
        print(f"{name:<14}" + "".join(f"{score:>9.4f}" for score in scores.values()) + f"{seconds:>10.1f}", flush=True)
        if name == "random_noise":
            control = scores
        else:
            for warning in check_attack(scores, clean, control):
                print(f"    {warning}")


def main(run: Path | None = None) -> None:
    """Print both tables."""
    begin = time.perf_counter()
    segmenter = trained() if run is None else load_segmenter(run)
    for parameter in segmenter.parameters():
        parameter.requires_grad_(False)
    where = f"U-Net trained in {time.perf_counter() - begin:.0f} s" if run is None else str(run)
    print(f"{where}, {sum(parameter.numel() for parameter in segmenter.parameters()) / 1e6:.2f} M parameters")
    images, masks = nuclei(IMAGES, seed=2)
    network = class_logits(segmenter)
    compare(network, images, masks)
    check(network, images, masks)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, help="the folder of a run, instead of a network trained for the purpose")
    main(parser.parse_args().run)
