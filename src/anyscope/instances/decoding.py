"""The whole way from maps to labels: a decoder, and a linker where slices become volumes."""

from __future__ import annotations

from dataclasses import dataclass

from anyscope.contracts import Labels
from anyscope.instances.decoders import Decoder
from anyscope.instances.linking import Linker
from anyscope.instances.maps import Maps


@dataclass(frozen=True)
class Decoding:
    """Decode maps, then link the objects of slices where there is a linker.

    Args:
        decoder: Makes objects.
        linker: Joins those of slices; None where the decoder has the last word.
    """

    decoder: Decoder
    linker: Linker | None = None

    def __call__(self, maps: Maps) -> Labels:
        """Labels (z, y, x) for activated maps by head."""
        labels = self.decoder(maps)
        return labels if self.linker is None else self.linker(labels)

    def describe(self) -> str:
        """How objects are made, in words that belong beside a score."""
        words = self.decoder.describe()
        return words if self.linker is None else f"{words}; {self.linker.describe()}"
