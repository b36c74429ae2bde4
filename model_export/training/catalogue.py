"""Which products a model knows, and what is known of them, as the model's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.dataset import Content, Ids, vocabulary_index
from model_export.errors import DataRefused


@dataclass(frozen=True, slots=True)
class Catalogue:
    """n products and the queries behind them; row 0 is padding."""

    known: NDArray[np.int32]
    """[n] codes of the products, ascending; product i of the model is ``known[i - 1]``."""
    index: NDArray[np.int64]
    """[codes] the row of each code, 0 if the model does not know it."""
    has_id: Tensor
    """[rows] bool: whether training learns a vector of this product's own."""
    features: Tensor
    """[rows, F] int32."""
    text: Tensor
    """[rows, k] float16."""
    feature_names: int


def catalogue(
    ids: Ids, content: Content | None, counts: NDArray[np.int64], *, least: int, name: str
) -> Catalogue:
    """Products with ``least`` interactions or with content; only the former get an id part.

    ``counts`` [items] are interactions in the training part. Raises DataRefused where fewer
    than two products would be known.
    """
    often = counts >= least
    told: NDArray[np.bool_] = np.zeros(len(often), dtype=bool)
    if content is not None:
        told = told | (content.features > 0).any(axis=1)
        if content.text is not None:
            told |= content.text.any(axis=1)
    known = np.flatnonzero(often | told).astype(np.int32)
    if len(known) < 2 or not often.any():
        raise DataRefused(
            f"{name}: {int(often.sum())} items have {least} or more interactions in the training "
            "part; lower --least-interactions or bring more data"
        )
    features, text = content_rows(content, known, len(ids.queries))
    has_id = torch.zeros(len(features), dtype=torch.bool)
    has_id[1 : len(known) + 1] = torch.from_numpy(often[known])
    return Catalogue(
        known=known,
        index=vocabulary_index(ids, known),
        has_id=has_id,
        features=features,
        text=text,
        feature_names=len(content.names) if content is not None else 0,
    )


def content_rows(
    content: Content | None, known: NDArray[np.int32], queries: int
) -> tuple[Tensor, Tensor]:
    """Features [rows, F] and text vectors [rows, k] of padding, products and queries."""
    rows = 1 + len(known) + queries
    if content is None:
        return torch.zeros(rows, 0, dtype=torch.int32), torch.zeros(rows, 0, dtype=torch.float16)
    products = slice(1, len(known) + 1)
    features = torch.zeros(rows, content.features.shape[1], dtype=torch.int32)
    features[products] = torch.from_numpy(content.features[known])
    wide = 0 if content.text is None else content.text.shape[1]
    text = torch.zeros(rows, wide, dtype=torch.float16)
    if content.text is not None:
        text[products] = torch.from_numpy(content.text[known])
    if content.query_text is not None:
        text[len(known) + 1 :] = torch.from_numpy(content.query_text)
    return features, text
