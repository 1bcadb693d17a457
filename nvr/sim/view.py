"""Where a pan, tilt and zoom put the world on the picture."""

from dataclasses import dataclass
from math import cos, radians, sin, tan

WIDEST_DEG = 60.0
"""Horizontal field of view at zoom 1."""

NEAR_M = 0.3

Matrix = tuple[float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class View:
    """Direction and magnification of the lens.

    Attributes:
        pan_deg: Clockwise from north.
        tilt_deg: Upwards from the horizon.
        zoom: 1 is the widest.
    """

    pan_deg: float
    tilt_deg: float
    zoom: float

    def focal_px(self, width_px: int) -> float:
        """Pixels for the tangent of an angle off the axis."""
        return width_px / 2 / tan(radians(WIDEST_DEG / 2)) * self.zoom

    def matrix(self, width_px: int, height_px: int) -> Matrix:
        """The projection for `nvr._native.paint`, row by row."""
        p, t = radians(self.pan_deg), radians(self.tilt_deg)
        ahead = (sin(p) * cos(t), cos(p) * cos(t), sin(t))
        right = (cos(p), -sin(p), 0.0)
        up = (-sin(p) * sin(t), -cos(p) * sin(t), cos(t))
        f, cx, cy = self.focal_px(width_px), width_px / 2, height_px / 2
        return (
            f * right[0] + cx * ahead[0],
            f * right[1] + cx * ahead[1],
            f * right[2] + cx * ahead[2],
            -f * up[0] + cy * ahead[0],
            -f * up[1] + cy * ahead[1],
            -f * up[2] + cy * ahead[2],
            *ahead,
        )


FLAT: Matrix = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
"""For what lies on the glass: points are (x px, y px, 1)."""
