"""Distributions in the plane: mixtures of Gaussians whose modes are known, and curves with noise.

Letters in shapes: n points, K modes or curves.
"""

import numpy as np

from genlab.errors import UserError


class Plane:
    """Interface: a distribution over points in the plane, each of one of K modes or curves.

    Attributes:
        num_classes: K.
        sigma: standard deviation of the noise along each axis.
    """

    num_classes: int
    sigma: float

    def draw(self, n: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points `[n, 2]` float64 and the mode or curve `[n]` int64 of each, drawn from `stream`."""
        raise NotImplementedError

    def centers(self) -> np.ndarray | None:
        """The modes `[K, 2]`; None where there are curves instead."""
        raise NotImplementedError


class Ring(Plane):
    """Gaussians evenly around a circle, the first on the right (VEEGAN, PacGAN: 8 of sigma .01, radius 1)."""

    def __init__(self, *, modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> None:
        """Places the modes.

        Args:
            modes: K, at least 1.
            radius: of the circle, above 0.
            sigma: standard deviation of each, above 0.

        Raises:
            UserError: a number out of its range.
        """
        _check(modes=modes, radius=radius, sigma=sigma)
        self.num_classes, self.radius, self.sigma = modes, radius, sigma

    def draw(self, n: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return _around(self.centers(), self.sigma, n, stream)

    def centers(self) -> np.ndarray:
        angle = 2 * np.pi * np.arange(self.num_classes) / self.num_classes
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], 1)


class Grid(Plane):
    """Gaussians on a square grid around the origin (VEEGAN, PacGAN: 5 x 5 of sigma .05, 2 apart)."""

    def __init__(self, *, side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> None:
        """Places the modes.

        Args:
            side: modes in a row, at least 1.
            spacing: between neighbours, above 0.
            sigma: standard deviation of each, above 0.

        Raises:
            UserError: a number out of its range.
        """
        _check(side=side, spacing=spacing, sigma=sigma)
        self.num_classes, self.side, self.spacing, self.sigma = side**2, side, spacing, sigma

    def draw(self, n: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return _around(self.centers(), self.sigma, n, stream)

    def centers(self) -> np.ndarray:
        line = self.spacing * (np.arange(self.side) - (self.side - 1) / 2)
        return np.stack([axis.ravel() for axis in np.meshgrid(line, line, indexing="ij")], 1)


class Spiral(Plane):
    """Arms that wind outward from the origin, points evenly along the radius."""

    def __init__(
        self, *, arms: int = 2, turns: float = 1.5, radius: float = 1.0, sigma: float = 0.02
    ) -> None:
        """Sets the curves.

        Args:
            arms: K, at least 1.
            turns: of each arm around the origin, above 0.
            radius: at which the arms end, above 0.
            sigma: standard deviation of the noise, above 0.

        Raises:
            UserError: a number out of its range.
        """
        _check(arms=arms, turns=turns, radius=radius, sigma=sigma)
        self.num_classes, self.turns, self.radius, self.sigma = arms, turns, radius, sigma

    def draw(self, n: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        arm = stream.integers(self.num_classes, size=n)
        way = stream.random(n)
        angle = 2 * np.pi * (self.turns * way + arm / self.num_classes)
        curve = self.radius * way[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return curve + self.sigma * stream.standard_normal((n, 2)), arm

    def centers(self) -> None:
        return None


class TwoMoons(Plane):
    """Two half circles of radius 1, interlocked: one open below, the other open above, half a radius lower."""

    num_classes = 2

    def __init__(self, *, sigma: float = 0.05) -> None:
        """Sets the noise.

        Args:
            sigma: its standard deviation, above 0.

        Raises:
            UserError: sigma is not above 0.
        """
        _check(sigma=sigma)
        self.sigma = sigma

    def draw(self, n: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        moon = stream.integers(2, size=n)
        angle = np.pi * stream.random(n)
        upper = np.stack([np.cos(angle), np.sin(angle)], 1)
        lower = np.array([1.0, 0.5]) - upper
        curve = np.where(moon[:, None] == 0, upper, lower) - np.array([0.5, 0.25])  # centred
        return curve + self.sigma * stream.standard_normal((n, 2)), moon

    def centers(self) -> None:
        return None


def _check(**numbers: float) -> None:
    for name, value in numbers.items():
        least = 1 if isinstance(value, int) and name in ("modes", "side", "arms") else 0
        if value < 1 if least else value <= 0:
            raise UserError(f"data.points.{name} must be {'at least 1' if least else 'above 0'}, got {value}")


def _around(
    centers: np.ndarray, sigma: float, n: int, stream: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian points around modes `[K, 2]`, each mode equally likely."""
    mode = stream.integers(len(centers), size=n)
    return centers[mode] + sigma * stream.standard_normal((n, 2)), mode
