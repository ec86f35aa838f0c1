from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from trainers.divergences import TABLE, Divergence

NAMES = [*TABLE]
CURVED = [name for name in NAMES if name != "total_variation"]
GENERATORS = {
    "pearson_chi2": lambda u: (u - 1) ** 2,
    "squared_hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "jensen_shannon": lambda u: u * np.log(u) - (u + 1) * np.log((1 + u) / 2),
    "reverse_kl": lambda u: u * np.log(u) - u + 1,
    "forward_kl": lambda u: -np.log(u) + u - 1,
}


ALPHAS = (-1.5, -0.5, 0.3, 0.7, 1.3, 1.5, 2.0, 3.0)


def generator(name: str, alpha: float | None) -> Callable[[float], float]:
    """f of the divergence; for alpha the textbook's power form."""
    if alpha is None:
        return GENERATORS[name]
    return lambda u: (u**alpha - alpha * u + alpha - 1) / (alpha * (alpha - 1))


def conjugate(f: Callable[[float], float], y: float) -> float:
    """f*(y) = sup over u >= 0 of y u - f(u): a grid in log u, then a search around its best point."""
    grid = np.linspace(-30, 30, 3001)
    best = grid[np.argmin([f(u) - y * u for u in np.exp(grid)])]
    found = minimize_scalar(
        lambda z: f(math.exp(z)) - y * math.exp(z), bounds=(best - 0.05, best + 0.05), method="bounded",
        options={"xatol": 1e-12},
    )  # fmt: skip
    return -float(found.fun)


@pytest.mark.parametrize(
    ("name", "alpha"), [*((name, None) for name in CURVED), *(("alpha", alpha) for alpha in ALPHAS)]
)
def test_phi_is_minus_the_conjugate_found_by_brute_force(name: str, alpha: float | None) -> None:
    lowest = {"jensen_shannon": -0.6, "squared_hellinger": -0.8, "forward_kl": -0.8}.get(name, -0.5)
    exact = Divergence(name, "raw", max_weight=1e6, beyond="stop", alpha=alpha)  # stop: the supremum over u >= 0
    for x in (lowest, -0.3, -0.1, 0.0, 0.3, 0.9, 1.7, 2.5, 4.0):
        if alpha is not None and 1 + (1 - alpha) * x < 0.05 and x < 0:
            continue  # outside the domain
        phi = float(exact.phi(torch.tensor(x, dtype=torch.float64)))
        assert phi == pytest.approx(-conjugate(generator(name, alpha), -x), abs=1e-8), x


@pytest.mark.parametrize("alpha", ALPHAS)
def test_alphas_slope_is_the_derivative_of_its_phi_also_beyond_both_edges(alpha: float) -> None:
    x = torch.linspace(-30, 30, 601, dtype=torch.float64, requires_grad=True)
    for dtype, tolerance in ((torch.float64, 1e-7), (torch.float32, 1e-3)):
        for beyond in ("reverse", "stop"):
            divergence = Divergence("alpha", beyond=beyond, alpha=alpha)
            at = x.detach().to(dtype).requires_grad_()
            (gradient,) = torch.autograd.grad(divergence.phi(at).sum(), at)
            torch.testing.assert_close(gradient, divergence.slope(at.detach()), atol=tolerance, rtol=tolerance)
            turns_back = alpha == 2.0 and beyond == "reverse"
            assert bool((gradient >= 0).all()) != turns_back
            assert bool((gradient.diff() <= tolerance).all()), "phi is concave"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("curvature", ["unit", "raw"])
def test_the_slope_is_the_derivative_of_phi(name: str, curvature: str) -> None:
    divergence = Divergence(name, curvature)
    x = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(divergence.phi(x).sum(), x)
    torch.testing.assert_close(gradient, divergence.slope(x.detach()), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("curvature", ["unit", "raw"])
@pytest.mark.parametrize("beyond", ["reverse", "stop"])
@pytest.mark.parametrize("name", [*NAMES, "alpha"])
def test_gradcheck_in_float64(name: str, beyond: str, curvature: str) -> None:
    alpha = 0.3 if name == "alpha" else None
    x = torch.tensor([-25.0, -1.5, -0.3, -0.1, 0.2, 1.3, 3.1, 7.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Divergence(name, curvature, beyond=beyond, alpha=alpha).phi, (x,))


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


def test_alpha_near_its_limits_keeps_float32s_precision() -> None:
    x = torch.linspace(-0.5, 3, 50)
    for alpha, limit in ((1 - 1e-5, "reverse_kl"), (1 + 1e-5, "reverse_kl"), (1e-5, "forward_kl")):
        ours = Divergence("alpha", alpha=alpha).phi(x)
        torch.testing.assert_close(ours, Divergence(limit).phi(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("alpha", [None, 0.0, 1.0, math.nan, math.inf])
def test_an_alpha_that_is_none_is_refused_with_its_limits_named(alpha: float | None) -> None:
    with pytest.raises(ValueError, match="forward_kl, reverse_kl"):
        Divergence("alpha", alpha=alpha)


def test_an_unknown_divergence_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r'"hellinger"; there are total_variation, .*and alpha'):
        Divergence("hellinger")
    with pytest.raises(ValueError, match="takes no alpha"):
        Divergence("forward_kl", alpha=0.5)
