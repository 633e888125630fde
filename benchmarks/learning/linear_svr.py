"""The strongest baseline of a team alone: TF-IDF and a linear support vector regression, C per project on validation.

It needs scikit-learn, which the project does not, so its errors are recorded beside this file. Make them again with
`pip install scikit-learn` in an environment of its own and `python -m benchmarks.learning.linear_svr`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Final

from benchmarks.learning.dataset import files, raw_rows

RECORDED: Final = Path(__file__).with_suffix(".json")
COSTS: Final = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def recorded() -> dict[str, float]:
    """Mean absolute error on the test rows of each project."""
    errors: dict[str, float] = json.loads(RECORDED.read_text())["mae"]
    return errors


def measure(path: Path) -> float:
    """Choose C on the validation rows, train on train and validation rows, measure on the test rows."""
    parts: dict[str, tuple[list[str], list[float]]] = {mark: ([], []) for mark in ("train", "val", "test")}
    for row in raw_rows(path):
        texts, efforts = parts[row["split_mark"]]
        texts.append(f"{row['title']} {row['title']} {row['description'][:1_500]}")
        efforts.append(float(row["storypoint"]))
    train, validation, test = parts["train"], parts["val"], parts["test"]
    cost = min(COSTS, key=lambda one: _error(train, validation, one))
    return _error((train[0] + validation[0], train[1] + validation[1]), test, cost)


def _error(known: tuple[list[str], list[float]], asked: tuple[list[str], list[float]], cost: float) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVR

    vectoriser = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, stop_words="english")
    regression = LinearSVR(C=cost, max_iter=20_000, random_state=0)
    regression.fit(vectoriser.fit_transform(known[0]), known[1])
    forecasts = regression.predict(vectoriser.transform(asked[0]))
    return float(abs(forecasts - asked[1]).mean())


def main() -> None:
    """Measure every project and record it."""
    import sklearn

    warnings.simplefilter("ignore")
    result = {
        "what": "mean absolute error of TF-IDF + LinearSVR on the test rows, trained on one project's own rows",
        "command": "python -m benchmarks.learning.linear_svr",
        "scikit-learn": sklearn.__version__,
        "mae": {path.name.removesuffix(".csv.gz"): round(measure(path), 4) for path in files()},
    }
    RECORDED.write_text(json.dumps(result, indent=2) + "\n")
    print(RECORDED.read_text())


if __name__ == "__main__":
    main()
