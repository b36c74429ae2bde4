import { status, type ServiceError } from "@grpc/grpc-js";
import type { Any } from "./gen/google/protobuf/any.js";
import { BadRequest, ErrorInfo, RetryInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

/** What a failed call means: the server's reason, and what can be done about it. */
export function explain(error: ServiceError): string {
  const packed = error.metadata.get("grpc-status-details-bin")[0];
  const details = packed instanceof Buffer ? Status.decode(packed).details : [];
  const info = detail(details, ErrorInfo, "google.rpc.ErrorInfo");
  const reason = info?.reason ?? status[error.code]; // the status is all that is known
  switch (error.code) {
    case status.INVALID_ARGUMENT: {
      const bad = detail(details, BadRequest, "google.rpc.BadRequest");
      const fields = bad?.fieldViolations.map((each) => `${each.field} ${each.description}`);
      return `${reason}: the request is wrong: ${fields?.join("; ")}`;
    }
    case status.UNAVAILABLE:
    case status.RESOURCE_EXHAUSTED: {
      const delay = detail(details, RetryInfo, "google.rpc.RetryInfo")?.retryDelay;
      const when = delay ? `in ${Number(delay.seconds) + delay.nanos / 1e9} s` : "later";
      return `${reason}: try again ${when}: ${error.details}`;
    }
    default:
      return `${reason}: ${error.details}`;
  }
}

/** The first detail of a kind, where there is one. */
function detail<T>(
  details: Any[],
  kind: { decode(bytes: Uint8Array): T },
  name: string,
): T | undefined {
  const found = details.find((each) => each.typeUrl.endsWith(`/${name}`));
  return found && kind.decode(found.value);
}
