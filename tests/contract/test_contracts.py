"""Every method of the contracts says who may call it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attune.access.v1 import access_pb2
from attune.recommendations.v1 import recommendation_service_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

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


def test_a_contract_that_breaks_the_last_release_is_refused(tmp_path: Path) -> None:
    """A field that is gone fails the check that `make check` runs, by its name."""
    baseline = ROOT / "proto/baseline/contracts.binpb"
    contracts = FileDescriptorSet.FromString(baseline.read_bytes())
    for file in contracts.file:
        for message in file.message_type:
            if message.name == "ShopperEvent":
                del message.field[0]
    (tmp_path / "broken.binpb").write_bytes(contracts.SerializeToString())
    buf = [shutil.which("buf") or Path(sys.prefix) / "bin/buf", "breaking"]
    told: list[str | Path] = [
        "--against",
        baseline,
        "--config",
        ROOT / "proto/buf.yaml",
        "--path",
        "attune",
    ]

    def breaking(image: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*buf, image, *told], capture_output=True, text=True, timeout=60)

    assert breaking(baseline).returncode == 0
    refused = breaking(tmp_path / "broken.binpb")
    assert refused.returncode != 0
    assert "event_id" in refused.stdout


def test_the_domain_names_what_the_contract_names() -> None:
    """Sources, causes and kinds of reason are those of the proto, none missing or made up."""
    assert {f"SOURCE_{each.name}" for each in Source} == {*pb.Source.keys()} - {
        "SOURCE_UNSPECIFIED"
    }
    assert {f"FALLBACK_CAUSE_{each.name}" for each in Cause} == {*pb.FallbackCause.keys()}
    assert {f"KIND_{each.name}" for each in Kind} == {*pb.Reason.Kind.keys()} - {"KIND_UNSPECIFIED"}
    assert len({*messages.KINDS.values()}) == len(Kind)
