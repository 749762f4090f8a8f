from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.constants import c, e, h, m_e

from anyscope.corruptions import CORRUPTIONS, SEVERITIES, warp_images, warp_labels
from anyscope.corruptions.electron import ENTRIES
from anyscope.corruptions.electron.cutting import wedge
from anyscope.corruptions.electron.lens import PIXEL_NM, SPHERICAL_NM, VOLTAGE_V, transfer, wavelength_nm
from anyscope.corruptions.electron.tears import BARE_GREY, RESIN_GREY
from anyscope.corruptions.planes import plane_means


def images(depth: int = 1, side: int = 96, count: int = 1) -> torch.Tensor:
    """Smooth, strictly between 0.1 and 0.7, so that black, white and resin grey are not in it."""
    random = torch.Generator().manual_seed(2)
    coarse = torch.rand((count * depth, 1, 12, 12), generator=random)
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear", align_corners=True)
    return (0.1 + 0.6 * fine).reshape(count, depth, 1, side, side).transpose(1, 2).contiguous()


def white_noise(side: int = 256, sigma: float = 0.05) -> torch.Tensor:
    return 0.5 + sigma * torch.randn((1, 1, 1, side, side), generator=torch.Generator().manual_seed(1))


def ring_power(plane: torch.Tensor, low: float, high: float) -> float:
    """Mean power of Fourier components with frequencies per pixel from ``low`` to ``high``."""
    window = torch.hann_window(plane.shape[0], periodic=False)
    power = torch.fft.fft2((plane - plane.mean()) * window[:, None] * window).abs().square()
    frequency = torch.fft.fftfreq(plane.shape[0])
    radius = torch.hypot(frequency[:, None], frequency)
    return float(power[(radius >= low) & (radius < high)].mean())


def test_names_are_as_many_as_the_entries():
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES) == 17
    assert {entry.name for entry in ENTRIES if entry.along_stack} == {
        "missing_section",
        "low_contrast_section",
        "contrast_drift",
        "misalignment",
    }


def test_the_wavelength_is_that_of_relativity():
    energy = e * VOLTAGE_V
    expected = h / math.sqrt(2 * m_e * energy * (1 + energy / (2 * m_e * c**2)))
    assert wavelength_nm(VOLTAGE_V) == pytest.approx(expected * 1e9, rel=1e-4)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_transfer_is_zero_where_theory_says(severity):
    defocus = 1000 * CORRUPTIONS["ctf_defocus"].at(severity).defocus_um
    wavelength = wavelength_nm(VOLTAGE_V)
    # the first root of pi lambda D k^2 - pi/2 Cs lambda^3 k^4 = pi/2, a quadratic equation in k^2
    roots = np.roots([-math.pi / 2 * SPHERICAL_NM * wavelength**3, math.pi * wavelength * defocus, -math.pi / 2])
    zero = math.sqrt(min(roots[roots > 0]))
    near = transfer(torch.tensor([0.0, 0.98 * zero, zero, 1.02 * zero], dtype=torch.float64), defocus)
    assert near[0] == 1
    assert near[1] > 0 > near[3]
    assert abs(near[2]) < 1e-6


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_white_noise_has_no_power_at_the_zeros(severity):
    corruption = CORRUPTIONS["ctf_defocus"].at(severity)
    plane = corruption(white_noise(), [0]).images[0, 0, 0]
    for order in (1, 3, 5)[:severity]:  # of the phase pi/2, 3 pi/2, 5 pi/2; spherical aberration is negligible
        zero = PIXEL_NM * math.sqrt(order / (2 * wavelength_nm(VOLTAGE_V) * 1000 * corruption.defocus_um))
        if zero > 0.45:
            break
        assert ring_power(plane, zero - 0.003, zero + 0.003) < 0.05 * ring_power(white_noise()[0, 0, 0], 0.05, 0.45)
    peak = PIXEL_NM * math.sqrt(1 / (wavelength_nm(VOLTAGE_V) * 1000 * corruption.defocus_um))
    if peak < 0.45:  # where contrast is reversed in full
        inverse = ring_power(plane, peak - 0.01, peak + 0.01)
        assert inverse == pytest.approx(ring_power(white_noise()[0, 0, 0], peak - 0.01, peak + 0.01), rel=0.15)


def test_astigmatism_is_zero_at_45_degrees_to_its_axes_only():
    plane = CORRUPTIONS["ctf_astigmatism"].at(3)(white_noise(), [3]).images[0, 0, 0]
    power = torch.fft.fft2(plane - plane.mean()).abs().square()
    frequency = torch.fft.fftfreq(256)
    radius = torch.hypot(frequency[:, None], frequency)
    turn = torch.atan2(frequency[:, None].expand(-1, 256), frequency.expand(256, -1)) % math.pi
    zero = PIXEL_NM * math.sqrt(1 / (2 * wavelength_nm(VOLTAGE_V) * 80_000))
    ring = (radius - zero).abs() < 0.006
    sectors = [float(power[ring & ((turn // (math.pi / 12)) == sector)].mean()) for sector in range(12)]
    # the zeros lie along two axes at right angles, and between them the lens is in focus
    darkest = int(np.argmin(sectors))
    assert sectors[darkest] < 0.15 * max(sectors)
    assert sectors[(darkest + 6) % 12] < 0.3 * max(sectors)
    assert sectors[(darkest + 3) % 12] > 0.5 * max(sectors)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_the_noise_of_a_dose_has_a_variance_like_its_mean(severity):
    corruption = CORRUPTIONS["electron_shot_noise"].at(severity)
    flat = torch.full((1, 1, 1, 300, 300), 0.4)
    signal = 0.2 + 0.8 * 0.4  # a fifth comes through where the image is black
    noisy = corruption(flat, [1]).images
    electrons = (0.2 + 0.8 * noisy) * corruption.electrons
    assert float(electrons.mean()) == pytest.approx(signal * corruption.electrons, rel=0.02)
    if severity < 5:  # at the last one some values leave 0..1
        assert float(electrons.var()) == pytest.approx(float(electrons.mean()), rel=0.03)


def test_curtains_are_a_narrow_wedge_along_one_axis():
    flat = torch.full((1, 1, 1, 128, 128), 0.5)
    corruption = CORRUPTIONS["curtaining"].at(3)
    result = corruption(flat, [4]).images[0, 0, 0]
    power = torch.fft.rfft2(result - result.mean()).abs().square()
    assert float(power[wedge(128, 128)].sum() / power.sum()) > 0.9999
    vertical, horizontal = torch.fft.fftfreq(128)[:, None].abs(), torch.fft.rfftfreq(128)
    steep = vertical > 0.06 * horizontal  # more than 3.4 degrees from the horizontal axis
    assert float(power[steep].sum() / power.sum()) < 1e-4
    assert float(result.std()) == pytest.approx(0.5 * corruption.sigma, rel=0.01)
    assert result.diff(dim=0).abs().mean() < 0.25 * result.diff(dim=1).abs().mean()


def test_knife_marks_are_parallel_and_of_the_stated_strength():
    flat = torch.full((1, 1, 1, 128, 128), 0.5)
    corruption = CORRUPTIONS["knife_marks"].at(1)
    result = corruption(flat, [9]).images[0, 0, 0]
    levels = {round(abs(value - 0.5) / corruption.strength, 3) for value in result.unique().tolist()}
    assert levels <= {0.0, 1.0, 2.0}
    assert 1.0 in levels
    power = torch.fft.fft2(result - 0.5).abs().square()
    frequency = torch.fft.fftfreq(128)
    y, x = frequency[:, None].expand(-1, 128), frequency.expand(128, -1)
    moments = torch.tensor(
        [[(power * x * x).sum(), (power * x * y).sum()], [(power * x * y).sum(), (power * y * y).sum()]]
    )
    small, large = torch.linalg.eigvalsh(moments)
    assert large > 3 * small  # all along one direction


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_fold_is_black_not_valid_and_draws_its_surroundings_in(severity):
    clean = images(2, side=200)
    corruption = CORRUPTIONS["fold"].at(severity)
    result = corruption(clean, [5])
    destroyed = ~result.valid
    assert torch.equal(result.images[:, 0] == 0, destroyed)
    assert destroyed.any(dim=-1).any(dim=-1).all()
    # far from the line contrast is whole, and the image is the old one through the field
    distance = torch.from_numpy(
        np.stack([np.sqrt(_squared_distance(plane.numpy())) for plane in destroyed[0]])
    ).float()[None]
    far = distance > 8 * corruption.half_width_px
    moved = warp_images(clean, result.field)
    if far.any():
        torch.testing.assert_close(result.images[:, 0][far], moved[:, 0][far], atol=2e-3, rtol=0)
    length = result.field.square().sum(1).sqrt()
    beside = (distance > 0) & (distance < 2)
    assert float(length[beside].mean()) == pytest.approx(min(corruption.displacement_px, 50), rel=0.06)
    # what is seen lies further out: one step along the field leads away from the line
    y, x = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
    further = (
        (y + result.field[0, 0, 0] / length[0, 0] * 3).round().long(),
        (x + result.field[0, 1, 0] / length[0, 0] * 3),
    )
    row, column = further[0], further[1].round().long()
    inside = (row >= 0) & (row < 200) & (column >= 0) & (column < 200) & (distance[0, 0] > 0)
    assert (distance[0, 0][row[inside], column[inside]] > distance[0, 0][inside]).all()
    # labels that follow are those that the warped image shows
    labels = (clean[:, 0] > 0.4).long()
    followed, known = warp_labels(labels, result.field)
    certain = known & ((moved[:, 0] - 0.4).abs() > 0.05)
    assert torch.equal(followed[certain], (moved[:, 0] > 0.4).long()[certain])


def _squared_distance(mask: np.ndarray) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~mask) ** 2


@pytest.mark.parametrize(("name", "grey"), [("crack", RESIN_GREY), ("hole", BARE_GREY)])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_exactly_the_destroyed_pixels_are_not_valid(name, grey, severity):
    clean = images(3)
    result = CORRUPTIONS[name].at(severity)(clean, [5])
    assert torch.equal(result.images[:, 0] != clean[:, 0], ~result.valid)
    assert (result.images[:, 0][~result.valid] == torch.tensor(grey)).all()
    assert (~result.valid).flatten(2).any(-1).all()


def test_a_hole_has_the_stated_size():
    clean = images(1, side=200, count=40)
    for severity in (2, 5):
        corruption = CORRUPTIONS["hole"].at(severity)
        areas = (~corruption(clean, range(40)).valid).flatten(1).sum(1)
        diameter = corruption.fraction * 200
        assert float(areas.max()) <= math.pi / 4 * diameter**2 * 1.03
        assert float(areas.float().mean()) > 0.8 * math.pi / 4 * diameter**2


def test_a_crack_runs_from_side_to_side_with_its_width():
    for severity in (1, 5):
        corruption = CORRUPTIONS["crack"].at(severity)
        destroyed = ~corruption(images(side=200), [3]).valid[0, 0]
        touched = [destroyed[0].any(), destroyed[-1].any(), destroyed[:, 0].any(), destroyed[:, -1].any()]
        assert sum(bool(side) for side in touched) >= 2
        widest = np.sqrt(_squared_distance(~destroyed.numpy()))[12:-12, 12:-12].max()  # at the edges it is cut off
        assert widest == pytest.approx(corruption.width_px / 2, abs=1.1)


def test_precipitate_hides_what_is_not_valid():
    clean = images(side=160)
    corruption = CORRUPTIONS["stain_precipitate"].at(3)
    result = corruption(clean, [2])
    darkness = torch.exp(-4 * corruption.density(clean, [2]))
    by_hand = (corruption.alpha * clean + (170 - 147 * corruption.alpha) / 255) * darkness
    torch.testing.assert_close(result.images, by_hand.clamp(0, 1), atol=1e-6, rtol=0)
    assert torch.equal(result.valid, darkness[:, 0] >= 0.1)
    assert (~result.valid).any()
    assert result.images[:, 0][~result.valid].max() < 0.1
    weaker = CORRUPTIONS["stain_precipitate"].at(1).density(clean, [2])
    assert (weaker <= corruption.density(clean, [2]) + 1e-4).all()  # the same blobs and more


def test_dead_pixels_and_hits_are_marked():
    clean = images(side=300)
    corruption = CORRUPTIONS["dead_pixels"].at(4)
    result = corruption(clean, [2])
    assert torch.equal(result.images[:, 0] != clean[:, 0], ~result.valid)
    assert float((result.images == 0).float().mean()) == pytest.approx(corruption.dead, rel=0.2)
    assert float((result.images == 1).float().mean()) == pytest.approx(4 * corruption.hits, rel=0.3)


def test_missing_sections_are_the_chosen_ones():
    clean = images(12, side=16, count=3)
    counts = []
    for severity in SEVERITIES:
        result = CORRUPTIONS["missing_section"].at(severity)(clean, [1, 2, 3])
        missing = (result.images == 0).flatten(3).all(-1)[:, 0]
        assert torch.equal(~result.valid.flatten(2).all(-1), missing)
        assert torch.equal(result.valid.flatten(2).any(-1), ~missing)
        kept = ~missing[:, None, :, None, None].expand_as(clean)
        assert torch.equal(result.images[kept], clean[kept])
        assert (missing.sum(1) >= 1).all()
        assert (missing.sum(1) < 12).all()
        counts.append(int(missing.sum()))
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def test_a_single_missing_section_is_faint():
    clean = images()
    corruption = CORRUPTIONS["missing_section"].at(2)
    result = corruption(clean, [1])
    assert result.valid is None
    assert float(result.images.std()) == pytest.approx(0.1 * float(clean.std()), rel=1e-3)
    assert float(result.images.mean()) == pytest.approx(float(clean.mean()), rel=1e-4)


def test_pale_sections_keep_their_mean():
    clean = images(12, side=32)
    corruption = CORRUPTIONS["low_contrast_section"].at(5)
    result = corruption(clean, [4]).images
    torch.testing.assert_close(plane_means(result), plane_means(clean), atol=1e-5, rtol=0)
    shares = (result.std(dim=(-2, -1)) / clean.std(dim=(-2, -1))).flatten()
    pale = shares < 0.5
    assert 0 < pale.sum() < 12
    torch.testing.assert_close(shares[pale], torch.full_like(shares[pale], corruption.contrast), atol=1e-3, rtol=0)
    assert torch.equal(result[:, :, ~pale], clean[:, :, ~pale])


def test_contrast_drift_by_hand():
    corruption = CORRUPTIONS["contrast_drift"].at(2)
    section = torch.tensor([[0.4, 0.6], [0.5, 0.5]])
    clean = torch.stack([section, 0.5 * section])[None, None]
    scale, shift = corruption.drift(clean, [8])
    result = corruption(clean, [8]).images
    for z in range(2):
        mean = (0.5, 0.25)[z]
        a, b = float(scale[0, z]), float(shift[0, z])
        assert 0.8 <= a <= 1.2
        assert -0.1 <= b <= 0.1
        expected = mean + (clean[0, 0, z] - mean) * a + b
        torch.testing.assert_close(result[0, 0, z], expected)
    assert scale[0, 0] != scale[0, 1]


@pytest.mark.parametrize("severity", [1, 5])
def test_sections_are_shifted_by_whole_pixels(severity):
    clean = images(4)
    corruption = CORRUPTIONS["misalignment"].at(severity)
    result = corruption(clean, [6])
    for z in range(4):
        dy, dx = (int(result.field[0, axis, z, 0, 0]) for axis in (0, 1))
        assert (result.field[0, :, z] == torch.tensor([dy, dx])[:, None, None]).all()
        assert 0.5 * corruption.shift_px - 1 <= math.hypot(dy, dx) <= corruption.shift_px + 1
        rolled = torch.roll(clean[0, 0, z], (-dy, -dx), (0, 1))
        inner = (slice(20, -20), slice(20, -20))
        torch.testing.assert_close(result.images[0, 0, z][inner], rolled[inner], atol=1e-4, rtol=0)
    assert len({tuple(result.field[0, :, z, 0, 0].tolist()) for z in range(4)}) > 1


def test_a_single_section_breaks_along_a_line():
    result = CORRUPTIONS["misalignment"].at(4)(images(), [6])
    shifts = {tuple(shift) for shift in result.field[0, :, 0].flatten(1).T.tolist()}
    assert len(shifts) == 2
    assert (0.0, 0.0) in shifts


def test_lines_of_a_scan_share_their_noise_and_their_shift():
    flat = torch.full((1, 1, 1, 400, 60), 0.5)
    corruption = CORRUPTIONS["scan_line_noise"].at(3)
    result = corruption(flat, [1]).images[0, 0, 0]
    assert (result == result[:, :1]).all()
    assert float(result[:, 0].std()) == pytest.approx(corruption.sigma, rel=0.1)
    distorted = CORRUPTIONS["scan_distortion"].at(4)(images(side=200), [1])
    assert torch.equal(distorted.field, distorted.field[..., :1].expand_as(distorted.field))
    torch.testing.assert_close(distorted.images, warp_images(images(side=200), distorted.field).clamp(0, 1))
    jitter = distorted.field[0, 1, 0, :, 0].diff().std() / math.sqrt(2)
    assert float(jitter) == pytest.approx(1.5, rel=0.15)


def test_charging_is_broad_halos_and_lines():
    flat = torch.full((8, 1, 1, 128, 128), 0.5)
    corruption = CORRUPTIONS["charging"].at(1)
    change = corruption(flat, range(8)).images[:, 0, 0] - 0.5
    lines = change.diff(dim=1).mean(dim=-1).std() / math.sqrt(2)
    assert float(lines) == pytest.approx(corruption.line_sigma, rel=0.15)
    assert float(change.std()) == pytest.approx(corruption.halo, rel=0.4)
    along = change.diff(dim=2).abs().mean()  # the halos alone: lines do not change along x
    assert 0 < along < 0.1 * corruption.halo
