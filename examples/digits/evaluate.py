# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib", "pandas", "pydantic", "scikit-learn"]
# ///
"""How good a model is on scikit-learn's bundled digits: cross-validated, by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import BaseModel, Field
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from matinee import batch, track

Model = Literal["support vectors", "random forest", "nearest neighbours"]
DATA = load_digits()


class HyperParameters(BaseModel):
    """Each model uses its own and leaves the others alone."""

    regularisation: float = Field(10, gt=0, le=1000, description="Support vectors: C, larger fits closer")
    trees: int = Field(100, ge=1, le=500, description="Random forest: number of trees")
    neighbours: int = Field(5, ge=1, le=50, description="Nearest neighbours: how many vote")


@dataclass
class Evaluation:
    """Share of digits told right (0 to 1), figures by class, and what was taken for what."""

    accuracy: float
    metrics: pd.DataFrame
    confusion: Figure


@batch(
    cpu=1,
    memory_mb=2048,  # Fargate has 1 vCPU with 2 GB or more
    timeout_s=600,
    examples=[
        {"model": "support vectors"},
        {"model": "random forest", "hyper_parameters": {"trees": 20}, "folds": 3},
    ],
)
def evaluate(
    model: Model,
    hyper_parameters: HyperParameters = HyperParameters(),  # noqa: B008 - nobody changes it
    folds: Annotated[int, Field(ge=2, le=10, description="How often it is trained and tested")] = 5,
) -> Evaluation:
    """How good is a model on digits it has not seen?"""
    predicted = cross_predict(build(model, hyper_parameters), folds)
    return Evaluation(float(accuracy_score(DATA.target, predicted)), by_class(predicted), confusion(predicted))


def build(model: Model, chosen: HyperParameters) -> ClassifierMixin:
    """Return the model, not yet trained."""
    if model == "random forest":
        return RandomForestClassifier(chosen.trees, random_state=0)
    if model == "nearest neighbours":
        return KNeighborsClassifier(chosen.neighbours)
    return SVC(gamma=0.001, C=chosen.regularisation)


def cross_predict(model: ClassifierMixin, folds: int) -> np.ndarray:
    """Return for every digit what a model says that was trained without it."""
    predicted = np.empty_like(DATA.target)
    splits = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(DATA.data, DATA.target))
    for train, test in track(splits, "Training"):
        predicted[test] = model.fit(DATA.data[train], DATA.target[train]).predict(DATA.data[test])
    return predicted


def by_class(predicted: np.ndarray) -> pd.DataFrame:
    """Return precision, recall, F1 and the number of digits for each class."""
    figures = precision_recall_fscore_support(DATA.target, predicted, labels=DATA.target_names, zero_division=0)
    table = pd.DataFrame(dict(zip(["precision", "recall", "f1", "digits"], figures, strict=True))).round(3)
    table.insert(0, "digit", DATA.target_names)
    return table


def confusion(predicted: np.ndarray) -> Figure:
    """Draw what was taken for what."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    ConfusionMatrixDisplay.from_predictions(DATA.target, predicted, ax=axes, cmap="Blues", colorbar=False)
    return figure
