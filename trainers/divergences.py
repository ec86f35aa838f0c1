"""f-divergences as reward transforms: phi(x) = -f*(-x), its slope, and how it goes on beyond its domain.

f is normalised to f(1) = f'(1) = 0, so phi(0) = 0 and phi'(0) = 1: at the start every objective pulls as SFT does.
x = beta * (log pi - log pi_0). The table is derived in docs/objectives.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Textbook:
    """phi, phi', the point where phi' reaches a weight w (None: never), and f''(1).

    ``top`` is the maximum of a phi whose formula turns round there; None where phi has none.
    """

    phi: Function
    slope: Function
    knot: Callable[[float], float | None]
    curvature: float | None
    top: float | None = None


def textbook(name: str, alpha: float | None = None) -> Textbook:
    """The divergence ``name``. Raises ValueError for an unknown name or an alpha that is missing, 0 or 1."""
    if name == "alpha":
        return _alpha(alpha)
    if name not in TABLE:
        raise ValueError(f'there is no divergence "{name}"; there are {", ".join(TABLE)} and alpha')
    return TABLE[name]


TABLE = {
    # the bound |x| <= 1/2 is dropped: this is SFT
    "total_variation": Textbook(lambda x: x, torch.ones_like, lambda w: None, None),
    "pearson_chi2": Textbook(lambda x: x - x * x / 4, lambda x: 1 - x / 2, lambda w: 2 - 2 * w, 2.0, top=2.0),
    "squared_hellinger": Textbook(lambda x: x / (1 + x), lambda x: (1 + x) ** -2, lambda w: w**-0.5 - 1, 0.5),
    "jensen_shannon": Textbook(
        lambda x: torch.log(2 - torch.exp(-x)),
        lambda x: 1 / (2 * torch.exp(x) - 1),
        lambda w: math.log((1 + 1 / w) / 2),
        0.5,
    ),
    "reverse_kl": Textbook(lambda x: -torch.expm1(-x), lambda x: torch.exp(-x), lambda w: -math.log(w), 1.0),
    "forward_kl": Textbook(torch.log1p, lambda x: 1 / (1 + x), lambda w: 1 / w - 1, 1.0),
}


def _alpha(alpha: float | None) -> Textbook:
    """phi = [1 - (1 + (1-a) x)^(-a/(1-a))] / a, phi' = (1 + (1-a) x)^(-1/(1-a)).

    For a > 1 the pull ends where 1 + (1-a) x reaches 0; beyond, the conjugate over u >= 0 is the constant f(0) = 1/a.
    Alpha 2 is chi-squared, whose quadratic can go on (see `Divergence.beyond`).
    """
    if alpha is None or alpha in (0.0, 1.0) or not math.isfinite(alpha):
        raise ValueError("the alpha divergence needs an alpha other than 0 and 1 (its limits: forward_kl, reverse_kl)")
    if alpha == 2.0:
        return Textbook(lambda x: x - x * x / 2, lambda x: 1 - x, lambda w: 1 - w, 1.0, top=1.0)
    gap = 1 - alpha
    return Textbook(
        lambda x: -torch.expm1(-alpha / gap * _log_base(x, gap)) / alpha,
        lambda x: torch.exp(-_log_base(x, gap) / gap) * (gap * x > -1),
        lambda w: (w**-gap - 1) / gap,
        1.0,
    )


def _log_base(x: Tensor, gap: float) -> Tensor:
    """log(1 + gap x), kept a rounding step off its singularity, so that the gradient there is 0 and not NaN."""
    return torch.log1p((gap * x).clamp(min=-1 + torch.finfo(x.dtype).eps))


@dataclass(frozen=True)
class Divergence:
    """phi with unit or raw curvature, continued as its tangent where the slope reaches ``max_weight``.

    ``unit`` replaces phi by c phi(x/c) with c = 1/f''(1), so that -phi''(0) = 1 for all: equal beta, equal pull.
    ``beyond`` concerns pearson_chi2 (and alpha 2, the same) past its maximum: ``reverse`` goes on and pushes back, as
    IQ-Learn's quadratic does; ``stop`` stays flat, the exact conjugate over u >= 0. Raises ValueError for an unknown
    divergence or a wrong alpha.
    """

    name: str
    curvature: str = "unit"
    max_weight: float = 10.0
    beyond: str = "reverse"
    alpha: float | None = None

    def __post_init__(self) -> None:
        textbook(self.name, self.alpha)
        if self.name != "alpha" and self.alpha is not None:
            raise ValueError(f"{self.name} takes no alpha; write divergence: alpha")

    @property
    def scale(self) -> float:
        """c, or 1 for raw curvature."""
        bent = textbook(self.name, self.alpha).curvature
        return 1.0 if self.curvature == "raw" or bent is None else 1.0 / bent

    @property
    def knot(self) -> float | None:
        """The x at and below which phi is its tangent; None if the slope never reaches ``max_weight``."""
        point = textbook(self.name, self.alpha).knot(self.max_weight)
        return None if point is None else point * self.scale

    def phi(self, x: Tensor) -> Tensor:
        """phi(x), the shape and dtype of ``x`` (float32 or float64)."""
        inner = self._clamped(x)
        value = self.scale * textbook(self.name, self.alpha).phi(inner / self.scale)
        # beyond the knot the tangent; above a maximum at which phi stops, ``inner`` is below x and nothing is added
        return value if self.knot is None else value + self.max_weight * (x - inner).clamp(max=0)

    def slope(self, x: Tensor) -> Tensor:
        """phi'(x): how much of SFT's pull is left."""
        return textbook(self.name, self.alpha).slope(self._clamped(x) / self.scale)

    def on_tangent(self, x: Tensor) -> Tensor:
        """Boolean mask of elements beyond the knot."""
        return torch.zeros_like(x, dtype=torch.bool) if self.knot is None else x < self.knot

    def _clamped(self, x: Tensor) -> Tensor:
        top = textbook(self.name, self.alpha).top
        highest = None if top is None or self.beyond == "reverse" else top * self.scale
        return x if self.knot is None and highest is None else x.clamp(self.knot, highest)
