"""Print what Attune would show to one shopper: shortest.py SHOPPER."""

import os
import sys
from pathlib import Path

import grpc
from attune.recommendations.v1 import recommendation_service_pb2 as api
from attune.recommendations.v1.recommendation_service_pb2_grpc import RecommendationServiceStub

options = [("grpc.service_config", Path("service_config.json").read_text())]
key = ("authorization", f"Bearer {os.environ['ATTUNE_API_KEY']}")
with grpc.insecure_channel(os.environ["ATTUNE_TARGET"], options) as channel:
    attune = RecommendationServiceStub(channel)
    request = api.RecommendRequest(user_id=sys.argv[1])
    answer = attune.Recommend(request, timeout=1.0, metadata=[key])
print(api.Source.Name(answer.source))
for product in answer.products:
    print(f"{product.title}: {product.reason.sentence}")
