"""A picture and its mirror image, asked alike: the mean of both answers is nearer to the truth than either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from src.inference.prediction import Prediction
from src.utils.sphere import flip_environment


def mirrored(prediction: Prediction) -> Prediction:
    """What a prediction of a picture says of its mirror image, left for right."""

    def flipped(plane: np.ndarray | None) -> np.ndarray | None:
        return None if plane is None else plane[:, ::-1]

    return replace(
        prediction,
        log_gain=prediction.log_gain[:, ::-1],
        mask=flipped(prediction.mask),
        environment=flip_environment(prediction.environment),
        confidence=flipped(prediction.confidence),
        flat_error=flipped(prediction.flat_error),
    )


def mean_of(one: Prediction, other: Prediction) -> Prediction:
    """The mean of two predictions of one picture: gains as their logarithms, the environment as radiance."""

    def mean(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
        return None if first is None or second is None else (first + second) / 2

    return replace(
        one,
        log_gain=(one.log_gain + other.log_gain) / 2,
        mask=mean(one.mask, other.mask),
        environment=(one.environment + other.environment) / 2,
        confidence=mean(one.confidence, other.confidence),
        flat_error=mean(one.flat_error, other.flat_error),
        level=(one.level + other.level) / 2,
    )
