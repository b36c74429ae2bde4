"""Every method of the contracts says who may call it."""

from __future__ import annotations

import pytest
from attune.access.v1 import access_pb2
from attune.profiles.v1 import profile_service_pb2
from attune.recommendations.v1 import recommendation_service_pb2
from google.protobuf.descriptor import FileDescriptor

from services.recommendations import messages
from services.recommendations.domain.fallback import Cause, Source
from services.recommendations.domain.reasons import Kind

pb = recommendation_service_pb2


@pytest.mark.parametrize(
    "file", [recommendation_service_pb2.DESCRIPTOR, profile_service_pb2.DESCRIPTOR]
)
def test_every_method_names_its_scope(file: FileDescriptor) -> None:
    """No rpc of the contracts lacks ``required_scope``."""
    methods = [m for service in file.services_by_name.values() for m in service.methods]
    assert methods
    for method in methods:
        assert method.GetOptions().Extensions[access_pb2.required_scope], method.full_name


def test_the_domain_names_what_the_contract_names() -> None:
    """Sources, causes and kinds of reason are those of the proto, none missing or made up."""
    assert {f"SOURCE_{each.name}" for each in Source} == {*pb.Source.keys()} - {
        "SOURCE_UNSPECIFIED"
    }
    assert {f"FALLBACK_CAUSE_{each.name}" for each in Cause} == {*pb.FallbackCause.keys()}
    assert {f"KIND_{each.name}" for each in Kind} == {*pb.Reason.Kind.keys()} - {"KIND_UNSPECIFIED"}
    assert len({*messages.KINDS.values()}) == len(Kind)
