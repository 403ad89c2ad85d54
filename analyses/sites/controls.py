"""Takes out of features what labels of the samples explain: motion, site."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from neurodecode.exceptions import DegenerateDataError


class TakeOut(TransformerMixin, BaseEstimator):
    """What is left of each feature after least squares on sample coordinates, fitted on training samples alone.

    ``numbers`` and ``categories`` name coordinates of X; a category is one column a value. A sample of a category that
    training lacks cannot be corrected and is refused.
    """

    ignores_targets = True

    def __init__(self, numbers=(), categories=()):
        self.numbers = numbers
        self.categories = categories

    def fit(self, X, y=None):
        self.values_ = {name: np.unique(X[name].values) for name in self.categories}
        self.center_ = {name: float(X[name].values.mean()) for name in self.numbers}
        self.weights_ = np.linalg.lstsq(self._columns(X), np.asarray(X.values, dtype=np.float64), rcond=None)[0]
        return self

    def transform(self, X):
        left = X.values - self._columns(X) @ self.weights_
        return X.copy(data=left.astype(X.dtype))

    def _columns(self, X):
        columns = [np.ones((X.sizes["sample"], 1))]
        columns += [X[name].values[:, None] - self.center_[name] for name in self.numbers]
        for name in self.categories:
            known, mine = self.values_[name], X[name].values
            unseen = sorted(set(mine.tolist()) - set(known.tolist()))
            if unseen:
                raise DegenerateDataError(
                    f"{name} {', '.join(unseen)} is not among the training samples, so what it adds cannot be taken "
                    f"out; leave {name} out of categories, or choose folds that hold every {name}"
                )
            columns.append((mine[:, None] == known[:-1]).astype(np.float64))
        return np.hstack(columns)
