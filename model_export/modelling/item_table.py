"""From products to unit vectors: what is learned of each one, plus what is known of it.

The vector of product i is unit(id_i + content_i). The content part is the content tower of
design §6: the sum of a vector for each feature (category, brand, merchant, price band) and
a projection of the text vector; a product that nobody has touched yet has a place by it
alone. So that this place is a good one, training leaves out the id part of a product now
and then (id dropout; Volkovs et al., "DropoutNet", 2017).

A search is a product without id and features: its words go through the same projection.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from model_export.settings import Architecture
from services.shared.product_codes import CENTROIDS

SMALLEST: Final = 1e-6
"""Added to a squared length, so that nothing at all has the vector 0 and a finite gradient."""

TEXT_LENGTH: Final = 2.0
"""Of a projected text vector at first, beside 1 of each feature: texts are alike among
themselves, and what tells them apart is less than half of each."""


def unit(x: Tensor) -> Tensor:
    """The last dimension scaled to length 1."""
    scaled: Tensor = x * torch.rsqrt((x * x).sum(-1, keepdim=True) + SMALLEST)
    return scaled


class ContentTower(nn.Module):
    """What is known of a product as a vector, not yet scaled."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.features = nn.Embedding(shape.features + 1, shape.dimensions, padding_idx=0)
        self.text = nn.Linear(shape.text, shape.dimensions, bias=False) if shape.text else None
        nn.init.normal_(self.features.weight, std=shape.dimensions**-0.5)
        if self.text is not None:
            nn.init.normal_(self.text.weight, std=TEXT_LENGTH * shape.dimensions**-0.5)
        with torch.no_grad():
            self.features.weight[0] = 0

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Features [..., F] from 1, 0 fills up; text [..., k] → [..., d]."""
        known: Tensor = self.features(features).sum(-2)
        return known if self.text is None else known + self.text(text)


class Items(nn.Module):
    """The vectors of n products (from 1; 0 is padding) and of the queries behind them.

    How a product that is known gets its vector is left to those that build on it.
    """

    has_id: Tensor
    features: Tensor
    text: Tensor
    tower: ContentTower | None
    products: int
    id_dropout: float

    def _know(self, shape: Architecture, has_id: Tensor, features: Tensor, text: Tensor) -> None:
        """Take what is known of each row: has_id [1 + n + queries], features [.., F], text [.., k].

        They are not part of the model's state: a checkpoint's data set has them.
        """
        self.products = shape.products
        self.id_dropout = shape.id_dropout
        self.tower = ContentTower(shape) if shape.features or shape.text else None
        self.register_buffer("has_id", has_id, persistent=False)
        self.register_buffer("features", features, persistent=False)
        self.register_buffer("text", text, persistent=False)

    def content(self, rows: Tensor) -> Tensor:
        """What is known of rows [...] as vectors [..., d], not scaled."""
        if self.tower is None:
            raise ValueError("this model knows products by their ids only")
        known: Tensor = self.tower(self.features[rows].long(), self.text[rows].float())
        return known

    @torch.no_grad()
    def vectors(self, chunk: int = 65_536) -> Tensor:
        """All products' unit vectors [n + 1, d]."""
        rows = torch.arange(self.products + 1, device=self.has_id.device)
        return torch.cat([self(part) for part in torch.split(rows, chunk)])

    def _dropped(self, rows: Tensor) -> Tensor:
        """Which of rows [...] are to be known by their content only, this time."""
        if self.tower is None or not self.training or not self.id_dropout:
            return torch.zeros_like(rows, dtype=torch.bool)
        return torch.rand(rows.shape, device=rows.device) < self.id_dropout


class ItemTable(Items):
    """A vector of each product's own, and its content."""

    def __init__(self, shape: Architecture, has_id: Tensor, features: Tensor, text: Tensor) -> None:
        """See :meth:`Items._know`."""
        super().__init__()
        self.ids = nn.Embedding(shape.products + 1, shape.dimensions, padding_idx=0)
        nn.init.normal_(self.ids.weight, std=shape.dimensions**-0.5)
        with torch.no_grad():
            self.ids.weight[0] = 0
        self._know(shape, has_id, features, text)

    def forward(self, rows: Tensor) -> Tensor:
        """Unit vectors [..., d] of rows [...]; padding has zeros."""
        kept = self.has_id[rows] & ~self._dropped(rows)
        learned: Tensor = self.ids(torch.where(kept, rows, 0))
        return unit(learned if self.tower is None else learned + self.content(rows))


class CodedItems(Items):
    """Each product's vector is the direction of a sum of centroids that many products share.

    Which centroids is given (``codes``), where they lie is learned (RecJPQ; Petrov and
    Macdonald, WSDM 2024); see :mod:`services.shared.product_codes`. The content tower goes on
    learning beside them, as new products are placed by it and then encoded.
    """

    codes: Tensor

    def __init__(self, shape: Architecture, has_id: Tensor, features: Tensor, text: Tensor) -> None:
        """See :meth:`Items._know`; codes and books wait to be loaded."""
        super().__init__()
        self.books = nn.Parameter(torch.zeros(shape.codes, CENTROIDS, shape.dimensions))
        codes = torch.zeros(shape.products + 1, shape.codes, dtype=torch.uint8)
        self.register_buffer("codes", codes)
        self._know(shape, has_id, features, text)

    def forward(self, rows: Tensor) -> Tensor:
        """Unit vectors [..., d] of rows [...]; padding has zeros."""
        coded = (rows > 0) & (rows <= self.products) & ~self._dropped(rows)
        summed = self._sums(torch.where(coded, rows, 0)) * coded.unsqueeze(-1)
        if self.tower is None:
            return unit(summed)
        return unit(torch.where(coded.unsqueeze(-1), summed, self.content(rows)))

    def _sums(self, rows: Tensor) -> Tensor:
        """The sums [..., d] of the centroids of rows [...]."""
        books, centroids, wide = self.books.shape
        first = torch.arange(books, device=rows.device) * centroids
        places = (self.codes[rows].long() + first).view(-1, books)
        sums = nn.functional.embedding_bag(places, self.books.view(-1, wide), mode="sum")
        return sums.view(*rows.shape, wide)
