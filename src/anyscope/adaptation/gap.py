"""Whether there is a gap at all: how much more a network changes its mind about the target than about its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anyscope.adaptation.judging import agreement, predict_views
from anyscope.adaptation.views import Cuts, read_views
from anyscope.adaptation.work import Work
from anyscope.contracts import Labels, Task
from anyscope.models.storage import read_safetensors

_TIMES = 1.5
_MORE = 0.01
_CUTS = Cuts(planes=12)


@dataclass(frozen=True)
class GapSign:
    """A sign of a gap between two domains, without a label of the target.

    Two networks of one training that disagree are wrong somewhere, and about as often as they disagree (Jiang et al.,
    "Assessing Generalization of SGD via Disagreement", ICLR 2022). Here they are the last candidate of a training on
    the source and the one a quarter of the training before. Images that are hard for any network, on the source too,
    are no gap, so that disagreement on the target is held against that on the source.

    Networks that are wrong in one and the same way do not disagree. Where they take everything for an object, or
    nothing, that is seen otherwise (:func:`~anyscope.adaptation.candidates.collapse`), and is a gap.

    Args:
        source: 1 - IoU of the two networks' predictions of source images, 0..1.
        target: The same of target images.
        collapsed: How the last one's prediction of the target has collapsed; empty where it has not.
    """

    source: float
    target: float
    collapsed: str = ""

    @property
    def shows(self) -> bool:
        """Whether it speaks for a gap: on the target half as much again and more than .01 more, or a collapse there.

        The limit lies between pairs of domains on which self-training harmed and those on which it helped;
        ``docs/results.md`` has the numbers.
        """
        more = self.target > _TIMES * self.source and self.target > self.source + _MORE
        return more or bool(self.collapsed)

    def words(self) -> str:
        """What was seen, in a line."""
        if self.collapsed:
            return f"the target is harder for the network: {self.collapsed}"
        seen = f"its predictions still change by {self.target:.3f} there and by {self.source:.3f} on its source"
        return f"the target is {'harder' if self.shows else 'no harder'} for the network: {seen} (1 - IoU)"


def quarter_before(count: int) -> int:
    """How many candidates lie between two that are a quarter of the training apart; at least one.

    >>> quarter_before(8), quarter_before(3)
    (2, 1)
    """
    return max(1, round(count / 4))


def look_for_gap(work: Work, weights: Sequence[Path], collapsed: str = "", cuts: Cuts = _CUTS) -> GapSign:
    """Compare what two networks predict on either domain.

    On the source these are images for training and for validation: a validation part alone may be smaller, or easier,
    than what the network was made for.

    Args:
        work: The domains, and the segmenter, whose weights are replaced.
        weights: The two networks.
        collapsed: See :class:`GapSign`.
        cuts: How much is looked at of each part.
    """
    domains, spec = work.domains, work.segmenter.spec
    cuts = cuts.for_domains(domains.source.regions, domains.target.regions)
    zoom = work.source_input.zoom
    parts = [domains.source.regions] + ([] if domains.validation is None else [domains.validation.regions])
    source = tuple(view for regions in parts for view in read_views(regions, spec, zoom, cuts))
    target = read_views(domains.target.regions, spec, spec.input.zoom, cuts)
    of_source, of_target = [], []
    for path in weights:
        work.segmenter.load_state_dict(read_safetensors(path))
        work.segmenter.eval()
        of_source.append([labels for labels, _ in predict_views(work.segmenter, source, work.source_input)])
        of_target.append([labels for labels, _ in predict_views(work.segmenter, target, spec.input)])
    return GapSign(_change(of_source, spec.task), _change(of_target, spec.task), collapsed)


def _change(predictions: Sequence[Sequence[Labels]], task: Task) -> float:
    before, after = predictions
    alike = agreement(before, after, task)
    return 0.0 if alike is None else 1 - alike  # two networks that find nothing at all agree
