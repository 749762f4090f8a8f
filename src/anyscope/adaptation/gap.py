"""Whether a gap shows: how much more a network changes its mind about the target than about its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from anyscope.adaptation.candidates import collapse
from anyscope.adaptation.judging import agreement, predict_views
from anyscope.adaptation.traits import Traits, measure_traits
from anyscope.adaptation.views import Cuts, read_views
from anyscope.adaptation.work import Work
from anyscope.contracts import Labels, Task

Weights = Mapping[str, torch.Tensor]

_TIMES = 1.5
_MORE = 0.04
_CUTS = Cuts(planes=12)


@dataclass(frozen=True)
class GapSign:
    """A sign of a gap between two domains, without a label of the target.

    Two networks of one training that disagree are wrong somewhere, and about as often as they disagree (Jiang et al.,
    "Assessing Generalization of SGD via Disagreement", ICLR 2022). Here they are the last candidate of a training on
    the source and the one a quarter of the training before. Images that are hard for any network, on the source too,
    are no gap, so that disagreement on the target is held against that on the source.

    Networks that are wrong in one and the same way do not disagree: a gap that does not show may be there. Where they
    take everything for an object, or nothing, that is seen otherwise
    (:func:`~anyscope.adaptation.candidates.collapse`), and is a gap.

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
        """Whether it speaks for a gap: on the target half as much again and .04 more, or a collapse there.

        The limit lies between pairs of domains on which self-training harmed and those on which it helped;
        ``docs/results.md`` has the numbers.
        """
        more = self.target > _TIMES * self.source and self.target > self.source + _MORE
        return more or bool(self.collapsed)

    def words(self) -> str:
        """What was seen, in a line."""
        if self.collapsed:
            return f"the network fails on the target: {self.collapsed}"
        seen = f"predictions still change by {self.target:.3f} there and by {self.source:.3f} on the source (1 - IoU)"
        return f"the network is {'less' if self.shows else 'as'} settled on the target: {seen}"


def look_for_gap(work: Work, networks: Sequence[Weights], reference: Traits, cuts: Cuts = _CUTS) -> GapSign:
    """Compare what two networks predict on either domain. The segmenter's own weights stay as they are.

    On the source these are images for training and for validation: a validation part alone may be smaller, or easier,
    than what the network was made for.

    Args:
        work: The domains and the segmenter.
        networks: Weights of the two, the later ones last.
        reference: Traits of the source's training labels.
        cuts: How much is looked at of each part.
    """
    domains, segmenter = work.domains, work.segmenter
    spec, zoom = segmenter.spec, work.source_input.zoom
    cuts = cuts.for_domains(domains.source.regions, domains.target.regions)
    parts = [domains.source.regions] + ([] if domains.validation is None else [domains.validation.regions])
    source = tuple(view for regions in parts for view in read_views(regions, spec, zoom, cuts))
    target = read_views(domains.target.regions, spec, spec.input.zoom, cuts)
    own = _copy(segmenter.state_dict())
    of_source, of_target = [], []
    for weights in [_copy(each) for each in networks]:  # one of them may be the segmenter's own
        segmenter.load_state_dict(weights)
        segmenter.eval()
        of_source.append([labels for labels, _ in predict_views(segmenter, source, work.source_input)])
        of_target.append([labels for labels, _ in predict_views(segmenter, target, spec.input)])
    segmenter.load_state_dict(own)
    collapsed = collapse(measure_traits(of_target[-1], spec.task), reference) or ""
    return GapSign(_change(of_source, spec.task), _change(of_target, spec.task), collapsed)


def _copy(weights: Weights) -> Weights:
    return {key: value.clone() for key, value in weights.items()}


def _change(predictions: Sequence[Sequence[Labels]], task: Task) -> float:
    before, after = predictions
    alike = agreement(before, after, task)
    return 0.0 if alike is None else 1 - alike  # two networks that find nothing at all agree
