"""Style transfer as steps of an adaptation: target images are translated into the style the segmenter knows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field

from anyscope.adaptation.step import Stage, Step
from anyscope.adaptation.style.cut import CutCourse, CutSettings
from anyscope.adaptation.style.cyclegan import CycleCourse, CycleSettings
from anyscope.adaptation.style.examination import Examiner
from anyscope.adaptation.style.images import DomainImages
from anyscope.adaptation.work import Work, candidate_epochs
from anyscope.errors import BadInput
from anyscope.models import SegmenterSpec
from anyscope.models.nets.generators import Initialisation, ResnetGenerator
from anyscope.models.translator import Translator
from anyscope.training.course import Course

GENERATOR = "resnet_generator"
_Positive = Annotated[int, Field(ge=1)]


class Translation(Step):
    """Learns a translator from images alone and attaches it to the segmenter, whose own weights stay as they are.

    It is a refinement: candidates are the segmenter with the translator after some epochs, and the segmenter without (a
    translator of strength 0), so that a translation that does harm need not be taken. Pictures of each candidate and a
    check for hallucinated contents are kept in the folder of the step.

    The profile ``fast`` is too short for a faithful style: it moves grey levels and sharpness, and what it does to
    predictions varies from epoch to epoch.

    Args:
        blocks, filters: Of the generator; ``filters`` of the discriminator too.
        antialias: Anti-aliased resampling in both networks, at twice the time.
        residual: The generator adds to its input and begins as the identity, nearly; not in the publications. It is
            slow to leave the identity: some hundred steps change next to nothing.
        patch_px, batch: What a step learns from, of each domain.
        flips: Mirror patches and turn them by quarters.
        constant_epochs, decaying_epochs: Epochs at the full learning rate, and on its way down.
        steps_per_epoch: None for as many as see every plane of the larger domain once.
        learning_rate: Of Adam, with betas .5 and .999.
    """

    stage: ClassVar[Stage] = "refinement"

    blocks: Annotated[int, Field(ge=0, le=64)] = 3
    filters: Annotated[int, Field(ge=1, le=512)] = 16
    antialias: bool = False
    residual: bool = False
    patch_px: Annotated[int, Field(ge=32, le=4096)] = 96
    batch: _Positive = 1
    flips: bool = True
    constant_epochs: Annotated[int, Field(ge=0)] = 4
    decaying_epochs: Annotated[int, Field(ge=0)] = 4
    steps_per_epoch: _Positive | None = 50
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3

    initialisation: ClassVar[Initialisation]

    def check(self, spec: SegmenterSpec) -> None:
        """Refuse a segmenter that has a translator already, and a course without epochs."""
        if self.constant_epochs + self.decaying_epochs < 1:
            raise BadInput(f"{self.name}.constant_epochs", "no epochs at all", "1 or more with decaying_epochs")
        if spec.input.translator is not None:
            raise BadInput(
                f"method {self.name!r}", "the segmenter translates its images already", "one without a translator",
                "leave out the other style transfer, or start from the segmenter as it was before",
            )  # fmt: skip

    def run(self, work: Work) -> Work:
        """See :class:`~anyscope.adaptation.step.Step`."""
        self.check(work.segmenter.spec)
        images = DomainImages.of(work, patch_px=self.patch_px, batch=self.batch, flips=self.flips)
        forth = self._translator(work, "forth")
        work.segmenter.attach_translator(forth)
        forth.strength.fill_(0)
        work.keep(0, work.segmenter)
        forth.strength.fill_(1)
        forth.generator.requires_grad_(True)
        course, back = self._course(work, images, forth)
        examiner = Examiner.of(images, back)
        epochs = self.constant_epochs + self.decaying_epochs
        wanted = candidate_epochs(epochs, work.candidates)

        def after_epoch(epoch: int) -> None:
            if epoch in wanted:
                work.keep(epoch, work.segmenter)
                examiner.look(epoch)

        work.follow(
            course,
            epochs=epochs,
            steps=self.steps_per_epoch or self._steps_of_all_planes(work),
            title=self.name,
            after_epoch=after_epoch,
        )
        forth.generator.requires_grad_(False)
        return work

    @abstractmethod
    def _course(self, work: Work, images: DomainImages, forth: Translator) -> tuple[Course, Translator | None]:
        """What learns, and the way back where there is one."""

    def _translator(self, work: Work, name: str) -> Translator:
        arguments = {
            "blocks": self.blocks,
            "filters": self.filters,
            "antialias": self.antialias,
            "residual": self.residual,
            "initialisation": self.initialisation,
        }
        translator = Translator.build(GENERATOR, arguments, work.segmenter.spec.channels, work.seed(name))
        return translator.to(work.device)

    def _steps_of_all_planes(self, work: Work) -> int:
        planes = (sum(each.roi.shape[0] for each in part) for part in (work.domains.source, work.domains.target))
        return -(-max(planes) // self.batch)


class CUT(Translation):
    """CUT: what a patch of the target shows must be found again at the same place of its translation.

    The profile ``paper`` is that of Franco-Barranco et al. 2022 with the defaults of CUT's authors: 9 blocks, 64
    filters, batch 1, crops of 512 pixels, 200 + 200 epochs of all planes. Ours differs from it in turning crops by
    quarters, not mirroring alone, and in crops that continue by reflection where a plane is smaller.

    Args:
        lambda_nce: Weight of PatchNCE; larger holds on to contents.
        lambda_gan: Weight of the discriminator.
        identity: Also hold on to the contents of source images.
        places: Places of each feature map that are compared.
        temperature: Of PatchNCE.
    """

    name: ClassVar[str] = "style"
    summary: ClassVar[str] = "translate target images into the style of the source (CUT)"
    source: ClassVar[str] = "Park et al., ECCV 2020, arXiv 2007.15651, as in Franco-Barranco et al., CMPB 222:106949"
    initialisation: ClassVar[Initialisation] = "xavier"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {
            "blocks": 6, "filters": 48, "antialias": True, "patch_px": 256, "batch": 4,
            "constant_epochs": 20, "decaying_epochs": 20, "steps_per_epoch": 500, "learning_rate": 2e-4,
        },
        "paper": {
            "blocks": 9, "filters": 64, "antialias": True, "patch_px": 512, "batch": 1, "lambda_nce": 1.0,
            "constant_epochs": 200, "decaying_epochs": 200, "steps_per_epoch": None, "learning_rate": 2e-4,
        },
    }  # fmt: skip

    lambda_nce: Annotated[float, Field(ge=0)] = 1.0
    lambda_gan: Annotated[float, Field(ge=0)] = 1.0
    identity: bool = True
    places: _Positive = 256
    temperature: Annotated[float, Field(gt=0)] = 0.07

    def _course(self, work: Work, images: DomainImages, forth: Translator) -> tuple[Course, None]:
        settings = CutSettings(
            filters=self.filters,
            antialias=self.antialias,
            places=self.places,
            temperature=self.temperature,
            lambda_gan=self.lambda_gan,
            lambda_nce=self.lambda_nce,
            identity=self.identity,
            learning_rate=self.learning_rate,
            constant_epochs=self.constant_epochs,
            decaying_epochs=self.decaying_epochs,
        )
        generator = cast(ResnetGenerator, forth.generator)
        return CutCourse(generator, images.target, images.source, settings, work.seed("cut"), work.device), None


class CycleGAN(Translation):
    """CycleGAN: a translation must lead back to where it came from.

    The profile ``paper`` is that of its authors: 9 blocks, 64 filters, strided convolutions, batch 1, crops of 256
    pixels, 100 + 100 epochs of all planes.

    Args:
        lambda_cycle: Weight of both cycles.
        lambda_identity: Weight of leaving images of the wanted style alone, as a factor on ``lambda_cycle``.
        buffer: Images that each discriminator may see again.
    """

    name: ClassVar[str] = "cyclegan"
    summary: ClassVar[str] = "translate target images into the style of the source, and back (CycleGAN)"
    source: ClassVar[str] = "Zhu et al., ICCV 2017, arXiv 1703.10593"
    initialisation: ClassVar[Initialisation] = "normal"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "best": {
            "blocks": 6, "filters": 48, "antialias": True, "patch_px": 256, "batch": 4,
            "constant_epochs": 20, "decaying_epochs": 20, "steps_per_epoch": 500, "learning_rate": 2e-4,
        },
        "paper": {
            "blocks": 9, "filters": 64, "patch_px": 256, "batch": 1,
            "constant_epochs": 100, "decaying_epochs": 100, "steps_per_epoch": None, "learning_rate": 2e-4,
        },
    }  # fmt: skip

    lambda_cycle: Annotated[float, Field(ge=0)] = 10.0
    lambda_identity: Annotated[float, Field(ge=0)] = 0.5
    buffer: Annotated[int, Field(ge=0)] = 50

    def _course(self, work: Work, images: DomainImages, forth: Translator) -> tuple[Course, Translator]:
        back = self._translator(work, "back")
        settings = CycleSettings(
            filters=self.filters,
            antialias=self.antialias,
            lambda_cycle=self.lambda_cycle,
            lambda_identity=self.lambda_identity,
            buffer=self.buffer,
            learning_rate=self.learning_rate,
            constant_epochs=self.constant_epochs,
            decaying_epochs=self.decaying_epochs,
        )
        course = CycleCourse(
            forth.generator, back.generator, images.target, images.source, settings, work.seed("cycle"), work.device
        )
        return course, back
