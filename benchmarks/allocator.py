"""What keeping freed memory is worth to a network on the CPU: ``python -m benchmarks allocator``.

Training steps (8 patches of 128 x 128) and forward passes (1024 x 1024) of the zoo's U-Net with two million parameters,
in two processes: one as the C library has it, one that keeps freed memory (:mod:`anyscope.running.memory`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

_TRAINING, _FORWARDS = 12, 5


def measure(keep: bool) -> dict[str, float]:
    """Seconds for a training step and a forward pass in this process."""
    import torch

    from anyscope.models import SegmenterSpec, build_segmenter
    from anyscope.running.memory import keep_freed_memory

    if keep:
        keep_freed_memory()
    segmenter = build_segmenter(SegmenterSpec(model="unet_small", task="semantic"), seed=0)
    segmenter.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(segmenter.parameters())
    patches, image = torch.rand(8, 1, 128, 128), torch.rand(1, 1, 1024, 1024)

    def step() -> None:
        optimiser.zero_grad()
        segmenter(patches).mean().backward()
        optimiser.step()

    def seconds(call: object, repeats: int) -> float:
        call()  # type: ignore[operator]
        started = time.perf_counter()
        for _ in range(repeats):
            call()  # type: ignore[operator]
        return (time.perf_counter() - started) / repeats

    training = seconds(step, _TRAINING)
    segmenter.eval()
    with torch.inference_mode():
        forward = seconds(lambda: segmenter(image), _FORWARDS)
    return {"training step": training, "forward pass": forward}


def main() -> None:
    """Print both, and their ratios."""
    found = []
    for keep in ("", "keep"):
        code = f"import json; from benchmarks.allocator import measure; print(json.dumps(measure({bool(keep)})))"
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        found.append(json.loads(output))
    for name, before in found[0].items():
        after = found[1][name]
        print(f"{name}: {before:.3f} s, {after:.3f} s with freed memory kept, {before / after:.2f}x faster")


if __name__ == "__main__":
    main()
