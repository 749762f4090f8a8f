"""A store of images that were made before, so that a discriminator does not forget them."""

from __future__ import annotations

import torch

from anyscope.training.checkpoint import State


class ImageBuffer:
    """The last images that a generator made, some of which a discriminator is shown again.

    While it is not full, an image is stored and returned. After that, with probability .5 an image is returned as it
    is, and otherwise it takes the place of a random stored one, which is returned.

    Args:
        size: Images that are stored; 50 as published. With 0 every image is returned as it is.

    Source: Shrivastava et al., CVPR 2017, arXiv 1612.07828, section 2.3; Zhu et al., ICCV 2017, section 4.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._images: list[torch.Tensor] = []

    def exchange(self, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """As many images [B, C, H, W] as are given, some of them older ones.

        Args:
            images: New ones, detached.
            random: Generator on the CPU.
        """
        chosen = []
        for image in images.detach():
            if len(self._images) < self._size:
                self._images.append(image.clone())
                chosen.append(image)
            elif self._size and torch.rand((), generator=random) < 0.5:
                place = int(torch.randint(self._size, (), generator=random))
                chosen.append(self._images[place])
                self._images[place] = image.clone()
            else:
                chosen.append(image)
        return torch.stack(chosen)

    def state_dict(self) -> State:
        """The stored images."""
        return {"images": list(self._images)}

    def load_state_dict(self, state: State) -> None:
        """The reverse of :meth:`state_dict`."""
        self._images = list(state["images"])
