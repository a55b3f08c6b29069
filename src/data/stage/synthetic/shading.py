"""How surfaces reflect: Lambert below, two GGX lobes above.

GGX: Walter et al., "Microfacet models for refraction through rough surfaces", 2007, with Schlick's Fresnel and
Smith-Schlick masking. Two lobes: Kelemen and Szirmay-Kalos 2001, as skin is usually fitted (Ghosh et al. 2008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHARP_SHARE, _SHARPNESS = 0.12, 0.55  # of the lobe; the second lobe's roughness over the first's


@dataclass(frozen=True)
class Reflectance:
    """What N surface points are made of."""

    albedo: np.ndarray  # (N, 3) linear RGB
    roughness: np.ndarray  # (N,) 0 to 1; its square is GGX's alpha
    specular: np.ndarray  # (N,) reflectance at normal incidence; 0 has no gloss at all


def fresnel(cosine: np.ndarray, specular: np.ndarray, smoothness: np.ndarray | float = 1.0) -> np.ndarray:
    """Schlick's approximation of what a facet mirrors; below a reflectance of 0.02, which no solid has, the grazing
    one fades as well. ``smoothness``: less of it for a whole rough surface, whose facets are not all seen so."""
    grazing = np.minimum(1, 50 * specular) * np.maximum(smoothness, specular)
    return specular + (grazing - specular) * (1 - cosine) ** 5


def diffuse_albedo(reflectance: Reflectance, normal: np.ndarray, view: np.ndarray) -> np.ndarray:
    """``(N, 3)`` albedo of the light that is not mirrored at the surface."""
    cosine = np.einsum("nc,nc->n", normal, view).clip(0.05, 1)
    return reflectance.albedo * (1 - fresnel(cosine, reflectance.specular, 1 - reflectance.roughness))[:, None]


@dataclass(frozen=True)
class Gloss:
    """The specular lobes at N points, seen from the camera."""

    normal: np.ndarray  # (N, 3)
    view: np.ndarray  # (N, 3)
    roughness: np.ndarray  # (N,)
    specular: np.ndarray  # (N,)

    def radiance(self, index: np.ndarray, light: np.ndarray) -> np.ndarray:
        """``(len(index),)`` radiance under irradiance 1 (across the beam) along ``light`` ``(3,)``, unshadowed."""
        normal, view, roughness = self.normal[index], self.view[index], self.roughness[index]
        n_l = (normal @ light).clip(0, 1)
        n_v = np.einsum("nc,nc->n", normal, view).clip(0.05, 1)
        half = view + light
        length = np.sqrt(np.einsum("nc,nc->n", half, half)).clip(1e-6)
        n_h = (np.einsum("nc,nc->n", normal, half) / length).clip(0, 1)
        v_h = (np.einsum("nc,nc->n", view, half) / length).clip(0, 1)
        lobe = (1 - _SHARP_SHARE) * _ggx(n_h, n_l, n_v, roughness)
        lobe += _SHARP_SHARE * _ggx(n_h, n_l, n_v, _SHARPNESS * roughness)
        return lobe * fresnel(v_h, self.specular[index]) * n_l


def _ggx(n_h: np.ndarray, n_l: np.ndarray, n_v: np.ndarray, roughness: np.ndarray) -> np.ndarray:
    """Distribution x masking / (4 n_l n_v)."""
    alpha2 = roughness**4
    base = n_h * n_h * (alpha2 - 1) + 1
    k = roughness * roughness / 2
    return alpha2 / (4 * np.pi * base * base * (n_l * (1 - k) + k) * (n_v * (1 - k) + k))
