"""The plain function: a table and a figure, no server."""

from __future__ import annotations

import pytest
from evaluate import DATA, HyperParameters, Model, evaluate
from matplotlib.figure import Figure


@pytest.mark.parametrize("model", ["support vectors", "random forest", "nearest neighbours"])
def test_every_model_tells_most_digits_right(model: Model) -> None:
    assert evaluate(model, HyperParameters(trees=20), folds=2).accuracy > 0.9


def test_the_metrics_have_a_row_for_every_class() -> None:
    metrics = evaluate("support vectors", folds=2).metrics
    assert list(metrics.columns) == ["digit", "precision", "recall", "f1", "digits"]
    assert list(metrics["digit"]) == list(range(10))
    assert metrics["digits"].sum() == len(DATA.target)


def test_the_confusion_matrix_is_drawn() -> None:
    figure = evaluate("nearest neighbours", folds=2).confusion
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 1


def test_hyper_parameters_out_of_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        HyperParameters(regularisation=0)
