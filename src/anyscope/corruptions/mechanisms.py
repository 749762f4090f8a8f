"""What kind of harm each corruption does, across microscopes, so that whole kinds can be held out of a training."""

from __future__ import annotations

from typing import Literal, get_args

from anyscope.errors import unknown_name

Mechanism = Literal["noise", "blur", "light", "sampling", "artefacts", "geometry"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)

_NAMES: dict[Mechanism, str] = {
    "noise": "gaussian_noise shot_noise impulse_noise speckle_noise photon_loss read_noise em_excess_noise hot_pixels "
    "electron_shot_noise dead_pixels scan_line_noise",
    "blur": "gaussian_blur defocus_blur motion_blur zoom_blur defocus_fluorescence spherical_aberration astigmatism "
    "coma trefoil spatially_variant_blur drift stage_vibration out_of_focus_haze ctf_defocus ctf_astigmatism",
    "light": "contrast brightness gamma inversion photobleaching uneven_illumination background bleed_through "
    "autofluorescence saturation charging low_contrast_section contrast_drift",
    "sampling": "jpeg_compression pixelate bit_depth resampling binning",
    "artefacts": "fold crack hole stain_precipitate knife_marks curtaining missing_section",
    "geometry": "elastic_transform glass_blur scan_line_jitter scan_distortion misalignment",
}
_MECHANISM_OF: dict[str, Mechanism] = {name: mechanism for mechanism, names in _NAMES.items() for name in names.split()}


def mechanism_of(corruption: str) -> Mechanism:
    """The mechanism of a corruption, ours by what it does to the image.

    ``geometry`` moves pixels, ``noise`` is independent from pixel to pixel (or line to line), ``blur`` mixes
    neighbours, ``light`` changes grey levels slowly over the image or all alike, ``sampling`` loses levels or pixels,
    ``artefacts`` cover the specimen.
    """
    if corruption not in _MECHANISM_OF:
        raise unknown_name("corruption", corruption, _MECHANISM_OF)
    return _MECHANISM_OF[corruption]
