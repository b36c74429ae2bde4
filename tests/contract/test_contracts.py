"""Every method of the contracts says who may call it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from attune.access.v1 import access_pb2
from attune.recommendations.v1 import recommendation_service_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from services.recommendations import messages
from services.recommendations.domain.answer import Cause, Source
from services.recommendations.domain.reasons import Kind

pb = recommendation_service_pb2


ROOT = Path(__file__).parents[2]
CONTRACTS = sorted((ROOT / "proto/attune").rglob("*.proto"))


def methods_of(contract: Path) -> list[MethodDescriptor]:
    """The methods that a proto file declares."""
    name = ".".join(contract.relative_to(ROOT / "proto").with_suffix("").parts) + "_pb2"
    file: FileDescriptor = importlib.import_module(name).DESCRIPTOR
    return [m for service in file.services_by_name.values() for m in service.methods]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda path: path.stem)
def test_every_method_names_its_scope(contract: Path) -> None:
    """No rpc of the contracts lacks ``required_scope``."""
    for method in methods_of(contract):
        assert method.GetOptions().Extensions[access_pb2.required_scope], method.full_name


def test_all_services_were_looked_at() -> None:
    """The walk over the files finds the methods there are."""
    found = {method.name for contract in CONTRACTS for method in methods_of(contract)}
    assert found == {
        "GetProfile",
        "RankProducts",
        "Recommend",
        "RecommendBatch",
        "SimilarProducts",
        "Write",
    }


def test_the_domain_names_what_the_contract_names() -> None:
    """Sources, causes and kinds of reason are those of the proto, none missing or made up."""
    assert {f"SOURCE_{each.name}" for each in Source} == {*pb.Source.keys()} - {
        "SOURCE_UNSPECIFIED"
    }
    assert {f"FALLBACK_CAUSE_{each.name}" for each in Cause} == {*pb.FallbackCause.keys()}
    assert {f"KIND_{each.name}" for each in Kind} == {*pb.Reason.Kind.keys()} - {"KIND_UNSPECIFIED"}
    assert len({*messages.KINDS.values()}) == len(Kind)
