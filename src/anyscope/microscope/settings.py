"""Parameters of a fluorescence microscope. Units are in the names; every model is frozen and refuses unknown keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of all settings of the microscope."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, **values: Any) -> Self:
        """A validated copy with some values replaced (unlike ``model_copy``, which does not validate)."""
        return type(self).model_validate({**dict(self), **values})


class Optics(Settings):
    """Objective and specimen mount, as far as they shape the image of a point.

    Args:
        psf: ``gaussian`` (in focus, aberration-free), ``gibson_lanni`` (scalar diffraction through a stratified
            mount; rotationally symmetric) or ``pupil`` (the same wavefront plus Zernike aberrations).
        numerical_aperture: NA of the objective.
        wavelength_nm: Emission wavelength in vacuum.
        pixel_size_nm: Size of a sensor pixel in the specimen.
        immersion_index: Refractive index of the immersion medium (air 1.0, water 1.33, oil 1.515).
        defocus_um: Distance of the specimen from best focus.
        depth_um: Depth of the specimen below the coverslip, zp; spherical aberration grows with it where the indices
            of specimen and immersion differ.
        sample_index: Refractive index of the specimen, ns.
        coverslip_um: Thickness of the coverslip, tg; the objective is corrected for ``design_coverslip_um``.
        coverslip_index: Refractive index of the coverslip, ng.
        astigmatism_waves, coma_waves, trefoil_waves, spherical_waves: Zernike coefficients (rms, in wavelengths).

    The default indices and thicknesses are those of PSFmodels (Gibson & Lanni 1992, J Opt Soc Am A 9:154).
    """

    psf: Literal["gaussian", "gibson_lanni", "pupil"] = "gibson_lanni"
    numerical_aperture: Annotated[float, Field(gt=0, le=1.7)] = 1.4
    wavelength_nm: Annotated[float, Field(ge=200, le=2000)] = 600.0
    pixel_size_nm: Annotated[float, Field(ge=1, le=20000)] = 65.0
    immersion_index: Annotated[float, Field(ge=1, le=2)] = 1.515
    defocus_um: Annotated[float, Field(ge=-50, le=50)] = 0.0
    depth_um: Annotated[float, Field(ge=0, le=200)] = 0.0
    sample_index: Annotated[float, Field(ge=1, le=2)] = 1.47
    coverslip_um: Annotated[float, Field(ge=0, le=1000)] = 170.0
    design_coverslip_um: Annotated[float, Field(ge=0, le=1000)] = 170.0
    coverslip_index: Annotated[float, Field(ge=1, le=2)] = 1.515
    astigmatism_waves: Annotated[float, Field(ge=-2, le=2)] = 0.0
    coma_waves: Annotated[float, Field(ge=-2, le=2)] = 0.0
    trefoil_waves: Annotated[float, Field(ge=-2, le=2)] = 0.0
    spherical_waves: Annotated[float, Field(ge=-2, le=2)] = 0.0

    @property
    def airy_radius_nm(self) -> float:
        """Radius of the first dark ring in focus, 0.61 lambda / NA."""
        return 0.61 * self.wavelength_nm / self.numerical_aperture

    @model_validator(mode="after")
    def _no_option_without_effect(self) -> Optics:
        for name in ("immersion_index", "coverslip_index"):
            if self.numerical_aperture >= getattr(self, name):
                raise ValueError(f"numerical_aperture {self.numerical_aperture} needs a higher {name}")
        mount = [name for name in ("defocus_um", "depth_um") if getattr(self, name)]
        if self.coverslip_um != self.design_coverslip_um:
            mount.append("coverslip_um")
        zernike = [f"{name}_waves" for name in ("astigmatism", "coma", "trefoil", "spherical")]
        zernike = [name for name in zernike if getattr(self, name)]
        if self.psf == "gaussian" and (mount or zernike):
            raise ValueError(f"psf 'gaussian' has no {', '.join(mount + zernike)}; take 'gibson_lanni' or 'pupil'")
        if self.psf == "gibson_lanni" and zernike:
            raise ValueError(f"psf 'gibson_lanni' has no {', '.join(zernike)}; take 'pupil'")
        return self


class Illumination(Settings):
    """Light that is not the sharp image of the specimen.

    Args:
        falloff: Loss of excitation from the brightest to the dimmest point of the field, S(x) in I = S I_true + D.
        background: Uniform light, D, as a fraction of the mean signal of the foreground.
        haze: Light from out-of-focus parts of the specimen above and below, as a fraction of its in-focus light.
        haze_um: Width (sigma) of the blur of that light in the specimen.
    """

    falloff: Annotated[float, Field(ge=0, lt=1)] = 0.15
    background: Annotated[float, Field(ge=0, le=1000)] = 0.15
    haze: Annotated[float, Field(ge=0, le=100)] = 0.3
    haze_um: Positive = 3.0


class Camera(Settings):
    """A camera, from photons to digital numbers.

    Args:
        kind: ``ccd`` and ``emccd`` bin charges before the readout, ``scmos`` sums digitised pixels.
        quantum_efficiency: Electrons per photon.
        dark_current_e_per_s, exposure_s: Their product is the mean number of dark electrons in a pixel.
        clock_induced_e: Mean number of spurious electrons in a pixel and frame.
        em_gain: Mean multiplication in the register of an EMCCD; 1 switches it off.
        read_noise_e: Standard deviation of the readout, in electrons (after multiplication).
        full_well_e: Charge at which a pixel is full.
        gain_e_per_dn: Electrons (after multiplication) for one digital number.
        offset_dn: Digital number without charge.
        bits: Bit depth; values are clipped to 0 .. 2**bits - 1.
        binning: Sensor pixels along one side of an image pixel.
        sensor_id: Which individual sCMOS sensor, that is, which maps of gain, offset and read noise.
        gain_spread: Standard deviation of a pixel's relative gain (sCMOS).
        offset_spread_dn: Standard deviation of a pixel's offset (sCMOS).
        read_noise_spread: Standard deviation of the logarithm of a pixel's read noise (sCMOS).

    Defaults of read noise, full well, dark current, depth and offset are those of microsim's camera.
    """

    kind: Literal["ccd", "emccd", "scmos"] = "ccd"
    quantum_efficiency: Annotated[float, Field(gt=0, le=1)] = 0.8
    dark_current_e_per_s: Annotated[float, Field(ge=0, le=1e6)] = 0.001
    exposure_s: Annotated[float, Field(gt=0, le=1e4)] = 0.1
    clock_induced_e: Annotated[float, Field(ge=0, le=1e3)] = 0.0
    em_gain: Annotated[float, Field(ge=1, le=5000)] = 1.0
    read_noise_e: Annotated[float, Field(ge=0, le=1e4)] = 6.0
    full_well_e: Annotated[float, Field(gt=0, le=1e9)] = 18000.0
    gain_e_per_dn: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    offset_dn: Annotated[float, Field(ge=0, le=65535)] = 100.0
    bits: Annotated[int, Field(ge=1, le=16)] = 12
    binning: Annotated[int, Field(ge=1, le=8)] = 1
    sensor_id: Annotated[int, Field(ge=0)] = 0
    gain_spread: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    offset_spread_dn: Annotated[float, Field(ge=0, le=1000)] = 0.0
    read_noise_spread: Annotated[float, Field(ge=0, le=2)] = 0.0

    @property
    def dark_e(self) -> float:
        """Mean number of electrons in a sensor pixel that no photon made."""
        return self.dark_current_e_per_s * self.exposure_s + self.clock_induced_e

    @property
    def highest_dn(self) -> int:
        """The largest digital number that an image can contain."""
        levels: int = 2**self.bits - 1
        return levels * self.binning**2 if self.kind == "scmos" else levels

    @model_validator(mode="after")
    def _consistent(self) -> Camera:
        if self.em_gain > 1 and self.kind != "emccd":
            raise ValueError(f"em_gain {self.em_gain} needs kind 'emccd', found {self.kind!r}")
        spread = [n for n in ("gain_spread", "offset_spread_dn", "read_noise_spread") if getattr(self, n)]
        if spread and self.kind != "scmos":
            raise ValueError(f"{', '.join(spread)} needs kind 'scmos', found {self.kind!r}")
        if self.highest_dn > 65535:
            raise ValueError(f"binning {self.binning} of {self.bits} bits does not fit into 16 bits")
        if self.offset_dn > 2**self.bits - 1:
            raise ValueError(f"offset_dn {self.offset_dn} does not fit into {self.bits} bits")
        return self


class MicroscopeSettings(Settings):
    """A whole microscope and how much light it is given.

    Args:
        optics, illumination, camera: Its parts.
        snr: Signal-to-noise ratio of the image, which sets the amount of light; see
            :func:`anyscope.microscope.exposure.expose_to_snr` for its definition.
        snr_sigma: Whether the SNR is that over the ``noise`` of the background, or over the ``background`` as it is,
            haze and skirts of objects included, as one would measure it on a real image.
        photons: Instead of ``snr``: mean number of photons of a foreground pixel, background included.
    """

    optics: Optics = Optics()
    illumination: Illumination = Illumination()
    camera: Camera = Camera()
    snr: Annotated[float, Field(gt=0, le=1000)] | None = 8.0
    snr_sigma: Literal["noise", "background"] = "noise"
    photons: Annotated[float, Field(gt=0, le=1e9)] | None = None

    @model_validator(mode="after")
    def _one_amount_of_light(self) -> MicroscopeSettings:
        if (self.snr is None) == (self.photons is None):
            raise ValueError("give either snr or photons, and null for the other")
        return self

    @property
    def image_pixel_size_nm(self) -> float:
        """Size of a pixel of the image, after binning."""
        return self.optics.pixel_size_nm * self.camera.binning
