"""Ask Attune as a shop's backend would: over gRPC, with an API key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import grpc
from attune.profiles.v1 import profile_service_pb2, profile_service_pb2_grpc
from attune.recommendations.v1 import (
    recommendation_service_pb2,
    recommendation_service_pb2_grpc,
)

DEADLINE_SECONDS: Final = 5.0

RETRIES: Final = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""A call that reached nobody who could answer is made again, as ``docs/storefront.md`` advises."""


class Storefront:
    """One connection; lives as long as the demo."""

    def __init__(self, address: str, api_key_file: Path) -> None:
        self.address = address
        told = [("grpc.service_config", json.dumps(RETRIES))]
        self._channel = grpc.insecure_channel(address, options=told)
        self._recommend = recommendation_service_pb2_grpc.RecommendationServiceStub(self._channel)
        self._profiles = profile_service_pb2_grpc.ProfileServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {api_key_file.read_text()}"),)

    def recommend(
        self, user_id: str, limit: int = 10
    ) -> recommendation_service_pb2.RecommendResponse:
        """What to show a user. Raises grpc.RpcError."""
        request = recommendation_service_pb2.RecommendRequest(user_id=user_id, limit=limit)
        return self._recommend.Recommend(request, timeout=DEADLINE_SECONDS, metadata=self._metadata)

    def profile(self, user_id: str) -> profile_service_pb2.Profile:
        """What is known of a user. Raises grpc.RpcError."""
        request = profile_service_pb2.GetProfileRequest(user_id=user_id)
        answer = self._profiles.GetProfile(
            request, timeout=DEADLINE_SECONDS, metadata=self._metadata
        )
        return answer.profile

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()
