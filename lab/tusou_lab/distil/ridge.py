"""Ridge regression from sparse features to vectors, by conjugate gradients."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tusou.core.arrays import Vectors

Floats = npt.NDArray[np.float32]

_ITERATIONS = 50
_PRECISE = 1e-2  # residuals shorter than this share of the first ones end the iterations
_BLOCK = 1 << 15  # values multiplied at once; bounds the memory


@dataclass(frozen=True, slots=True, eq=False)
class SparseMatrix:
    """A matrix of few values, ordered by row; every row has one or more."""

    columns: npt.NDArray[np.int64]  # (m,)
    values: Floats  # (m,)
    starts: npt.NDArray[np.int64]  # (rows,) where each row begins
    rows: npt.NDArray[np.int64]  # (rows,) the number of each row that has values
    count: int  # of all rows

    @classmethod
    def of(
        cls,
        rows: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        values: Floats,
        count: int,
    ) -> Self:
        """Build the matrix of values at these places; those at equal places are added."""
        order = np.argsort(rows, kind="stable")
        numbers, starts = np.unique(rows[order], return_index=True)
        return cls(columns[order], values[order], starts, numbers, count)

    def __matmul__(self, dense: Floats) -> Floats:
        """Return the product with a dense matrix, (count, d)."""
        result = np.zeros((self.count, dense.shape[1]), np.float32)
        ends = np.append(self.starts[1:], len(self.columns))
        first = 0
        while first < len(self.rows):
            begin = int(self.starts[first])
            last = max(first + 1, int(np.searchsorted(ends, begin + _BLOCK, "right")))
            part = slice(begin, int(ends[last - 1]))
            terms = dense[self.columns[part]] * self.values[part, None]
            sums = np.add.reduceat(terms, self.starts[first:last] - begin, axis=0)
            result[self.rows[first:last]] = sums
            first = last
        return result


@dataclass(frozen=True, slots=True, eq=False)
class SparseFeatures:
    """The features of texts, (n, columns)."""

    by_text: SparseMatrix
    by_column: SparseMatrix

    @classmethod
    def of(
        cls,
        texts: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        values: Floats,
        shape: tuple[int, int],
    ) -> Self:
        """Build the features from values at these places."""
        return cls(
            SparseMatrix.of(texts, columns, values, shape[0]),
            SparseMatrix.of(columns, texts, values, shape[1]),
        )


def solve_ridge(features: SparseFeatures, targets: Vectors, penalties: Floats) -> Floats:
    """Return the coefficients (columns, d) that give the targets (n, d) best.

    Minimises the squared errors plus, for each column, its penalty times its squared coefficients.
    """
    penalty = penalties[:, None]
    residual = features.by_column @ targets
    solution = np.zeros_like(residual)
    direction = residual.copy()
    squares = _squares(residual)
    enough = squares * _PRECISE**2
    for _ in range(_ITERATIONS):
        product = features.by_column @ (features.by_text @ direction) + penalty * direction
        step = squares / np.maximum(np.einsum("cd,cd->d", direction, product), 1e-30)
        solution += step * direction
        residual -= step * product
        before, squares = squares, _squares(residual)
        if (squares <= enough).all():
            break
        direction *= squares / np.maximum(before, 1e-30)
        direction += residual
    return solution


def _squares(matrix: Floats) -> Floats:
    squares: Floats = np.einsum("cd,cd->d", matrix, matrix)
    return squares
