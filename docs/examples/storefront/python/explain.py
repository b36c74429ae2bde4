"""What a failed call means: the server's reason, and what can be done about it."""

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status


def explain(error: grpc.RpcError) -> str:
    """One sentence; without the server's details the status is all that is known."""
    info, bad, retry = ErrorInfo(reason=error.code().name), BadRequest(), RetryInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        for kind in (info, bad, retry):
            detail.Unpack(kind)
    match error.code():
        case grpc.StatusCode.INVALID_ARGUMENT:
            fields = "; ".join(f"{each.field} {each.description}" for each in bad.field_violations)
            return f"{info.reason}: the request is wrong: {fields}"
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.RESOURCE_EXHAUSTED:
            seconds = retry.retry_delay.ToTimedelta().total_seconds()
            delay = f"in {seconds} s" if seconds else "later"
            return f"{info.reason}: try again {delay}: {error.details()}"
        case _:
            return f"{info.reason}: {error.details()}"
