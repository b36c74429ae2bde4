"""Print what Attune would show to shoppers: storefront.py [options] SHOPPER...

The servers' name is read from ATTUNE_TARGET, the API key from ATTUNE_API_KEY.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from attune.recommendations.v1 import recommendation_service_pb2 as api
from attune.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from connect import connect
from explain import explain

HEADINGS = {
    api.SOURCE_PERSONAL: "Chosen for you",
    api.SOURCE_SIMILAR: "Like this",
    api.SOURCE_TRENDING: "Trending now",
}
POPULAR = "Popular"
"""Promises no more than is true: a source that is not known reads as popular."""


@dataclass(frozen=True)
class Storefront:
    """What a shop's pages are made with."""

    attune: RecommendationServiceStub
    key: str
    deadline: float
    """Seconds that a call may take, retries included."""
    limit: int

    def serve(self, shopper: str) -> None:
        """Show a shopper's list and, of its first product, what is like it."""
        told = {"timeout": self.deadline, "metadata": [("authorization", f"Bearer {self.key}")]}
        request = api.RecommendRequest(user_id=shopper, limit=self.limit)
        answer = self.attune.Recommend(request, **told)
        show(shopper, answer.source, answer.products, answer.attribution_token)
        for product in answer.products[:1]:
            wanted = api.SimilarProductsRequest(product_id=product.product_id, limit=self.limit)
            like = self.attune.SimilarProducts(wanted, **told)
            show(product.product_id, like.source, like.products, like.attribution_token)


def show(whose: str, source: int, products: Sequence[api.RankedProduct], token: str) -> None:
    """Print a list under the heading that its source deserves."""
    print(f"{HEADINGS.get(source, POPULAR)} ({whose})")
    for product in products:
        print(f"  {product.title}: {product.reason.sentence}")
    print(f"  attribution token: {token}")


def main() -> int:
    """Answer the exit status: 1 if a call failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", type=Path, metavar="FILE", help="PEM of whom to trust; uses TLS")
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds a call may take")
    parser.add_argument("--limit", type=int, default=3, help="how many products to show")
    parser.add_argument("shoppers", nargs="+", metavar="SHOPPER")
    told = parser.parse_args()
    status = 0
    with connect(os.environ["ATTUNE_TARGET"], told.tls) as channel:
        attune = RecommendationServiceStub(channel)
        shop = Storefront(attune, os.environ["ATTUNE_API_KEY"], told.deadline, told.limit)
        for shopper in told.shoppers:
            try:
                shop.serve(shopper)
            except grpc.RpcError as error:
                print(f"{shopper}: {explain(error)}", file=sys.stderr)
                status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
