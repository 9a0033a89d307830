"""Which nuclei count, and which of them are positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NEGATIVE", "NOT_TUMOUR", "OTHER", "POSITIVE", "NuclearRule"]

POSITIVE, NEGATIVE, OTHER = "Positive", "Negative", "Other"
"""Labels, as QuPath names them; ``Other`` are nuclei that are not of the tumour."""
NOT_TUMOUR = "not tumour"
"""Why those do not count."""


@dataclass(frozen=True)
class NuclearRule:
    """How a nucleus is judged from its measurements."""

    positive_od: float | None
    """Least mean DAB density of a positive nucleus, OD (base 10); None: the network's class decides."""
    tumour_threshold: float | None
    """Least probability of tumour of a nucleus that counts; None: all count."""

    def positive(self, table: pa.Table) -> NDArray[np.bool_]:
        """Tell which nuclei are positive: (N,)."""
        if self.positive_od is None:
            return np.asarray(table["positive_probability"].to_numpy() >= np.float32(0.5))
        return np.asarray(table["dab_od_mean"].to_numpy() >= np.float32(self.positive_od))

    def tumour(self, table: pa.Table) -> NDArray[np.bool_]:
        """Tell which nuclei are of the tumour, as far as the detector can: (N,)."""
        if self.tumour_threshold is None:
            return np.ones(table.num_rows, bool)
        return np.asarray(table["tumour_probability"].to_numpy() >= np.float32(self.tumour_threshold))

    def labels(self, table: pa.Table) -> NDArray[np.str_]:
        """Name each nucleus: (N,)."""
        return np.where(self.tumour(table), np.where(self.positive(table), POSITIVE, NEGATIVE), OTHER)
