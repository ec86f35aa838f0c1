from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainers.divergences import TABLE, Divergence, textbook

NAMES = [*TABLE]
CURVED = [name for name in NAMES if name != "total_variation"]
GENERATORS = {
    "pearson_chi2": lambda u: (u - 1) ** 2,
    "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "jensen_shannon": lambda u: u * np.log(u) - (u + 1) * np.log((1 + u) / 2),
    "reverse_kl": lambda u: u * np.log(u) - u + 1,
    "forward_kl": lambda u: -np.log(u) + u - 1,
}


@pytest.mark.parametrize("name", CURVED)
def test_phi_is_minus_the_conjugate_found_by_brute_force(name: str) -> None:
    u = np.exp(np.linspace(-14, 9, 400_001))
    for x in (-0.5, -0.2, 0.0, 0.3, 0.9, 1.7):
        conjugate = (-x * u - GENERATORS[name](u)).max()
        phi = float(textbook(name).phi(torch.tensor(x, dtype=torch.float64)))
        assert phi == pytest.approx(-conjugate, abs=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("curvature", ["unit", "raw"])
def test_the_slope_is_the_derivative_of_phi(name: str, curvature: str) -> None:
    divergence = Divergence(name, curvature)
    x = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(divergence.phi(x).sum(), x)
    torch.testing.assert_close(gradient, divergence.slope(x.detach()), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", CURVED)
def test_gradcheck_in_float64(name: str) -> None:
    x = torch.tensor([-0.4, -0.1, 0.2, 1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Divergence(name).phi, (x,))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("curvature", ["unit", "raw"])
def test_phi_and_its_slope_at_zero_are_zero_and_one(name: str, curvature: str) -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    divergence = Divergence(name, curvature)
    assert float(divergence.phi(zero)) == 0
    assert float(divergence.slope(zero)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", CURVED)
def test_unit_curvature_bends_all_alike(name: str) -> None:
    step = 1e-4
    slope = Divergence(name, "unit").slope(torch.tensor([-step, step], dtype=torch.float64))
    assert float(slope[0] - slope[1]) / (2 * step) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_phi_stays_below_the_identity(name: str) -> None:
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    for curvature in ("unit", "raw"):
        assert (Divergence(name, curvature).phi(x) <= x + 1e-12).all()


@pytest.mark.parametrize("name", [name for name in CURVED if name != "pearson_chi2"])
def test_beyond_the_knot_the_slope_is_the_largest_weight_and_phi_is_continuous(name: str) -> None:
    divergence = Divergence(name, max_weight=10)
    assert divergence.knot is not None
    around = torch.tensor([divergence.knot - 1e-9, divergence.knot + 1e-9], dtype=torch.float64)
    assert float(divergence.phi(around).diff()) == pytest.approx(2e-8, rel=1e-3)
    far = torch.tensor([divergence.knot - 50.0], dtype=torch.float64)
    assert float(divergence.slope(far)) == pytest.approx(10, rel=1e-9)
    assert math.isfinite(float(divergence.phi(far)))
    assert bool(divergence.on_tangent(far).all())


@pytest.mark.parametrize(("alpha", "twin"), [(2.0, "pearson_chi2"), (0.5, "squared_hellinger")])
def test_alpha_members_equal_their_twins_after_unit_scaling(alpha: float, twin: str) -> None:
    x = torch.linspace(-0.3, 0.9, 25, dtype=torch.float64)
    ours = Divergence("alpha", alpha=alpha).phi(x)
    torch.testing.assert_close(ours, Divergence(twin, "unit").phi(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(("alpha", "limit"), [(1 - 1e-6, "reverse_kl"), (1e-6, "forward_kl")])
def test_alpha_tends_to_the_kl_divergences(alpha: float, limit: str) -> None:
    x = torch.linspace(-0.3, 0.9, 25, dtype=torch.float64)
    torch.testing.assert_close(Divergence("alpha", alpha=alpha).phi(x), Divergence(limit).phi(x), atol=1e-5, rtol=1e-5)


def test_pearson_has_no_pull_at_two_and_pushes_back_or_stops_beyond() -> None:
    at = torch.tensor([2.0, 3.0], dtype=torch.float64)
    assert Divergence("pearson_chi2", "raw").slope(at).tolist() == [0.0, -0.5]
    stopped = Divergence("pearson_chi2", "raw", beyond="stop")
    assert stopped.slope(at).tolist() == [0.0, 0.0]
    assert stopped.phi(at).tolist() == [1.0, 1.0]


def test_an_alpha_of_one_is_refused_with_its_limit_named() -> None:
    with pytest.raises(ValueError, match="reverse_kl"):
        textbook("alpha", 1.0)
