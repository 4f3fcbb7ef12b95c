"""The probabilities of a Scorer that gives scores: their softmax."""

import dataclasses

import numpy as np

from zoo.inference.scorers import PROBABILITIES, SCORES, Scorer, scorer


def probabilities(answer: Scorer) -> Scorer:
    """The Scorer itself, or its softmax if it gives scores; classes count as probabilities 1 and 0.

    ```python
    scores = zoo.inference.scorer("runs/coins", scores=True)
    probabilities(scores)(image).sum(-1)  # 1 at each pixel
    ```
    """
    answer = scorer(answer)  # of a model, too
    if answer.gives != SCORES:
        return answer
    return dataclasses.replace(
        answer, answer=lambda images: softmax(answer.answer(images)), gives=PROBABILITIES
    )


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis, float32."""
    found = np.exp(scores - scores.max(-1, keepdims=True), dtype=np.float32)
    found /= found.sum(-1, keepdims=True)
    return found
