package storefront;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.stream.Collectors;

/** What a failed call means: the server's reason, and what can be done about it. */
final class Explanation {
  private String reason;
  private String fields = "";
  private String delay = "later";

  private Explanation(StatusRuntimeException error) {
    reason = error.getStatus().getCode().name(); // without details the status is all that is known
  }

  /** One sentence. */
  static String of(StatusRuntimeException error) {
    Explanation told = new Explanation(error);
    Status status = StatusProto.fromThrowable(error);
    if (status != null) {
      status.getDetailsList().forEach(told::read);
    }
    String message = error.getStatus().getDescription();
    return switch (error.getStatus().getCode()) {
      case INVALID_ARGUMENT -> told.reason + ": the request is wrong: " + told.fields;
      case UNAVAILABLE, RESOURCE_EXHAUSTED ->
          told.reason + ": try again " + told.delay + ": " + message;
      default -> told.reason + ": " + message;
    };
  }

  private void read(Any detail) {
    try {
      if (detail.is(ErrorInfo.class)) {
        reason = detail.unpack(ErrorInfo.class).getReason();
      } else if (detail.is(BadRequest.class)) {
        fields =
            detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                .map(each -> each.getField() + " " + each.getDescription())
                .collect(Collectors.joining("; "));
      } else if (detail.is(RetryInfo.class)) {
        Duration after = detail.unpack(RetryInfo.class).getRetryDelay();
        delay = "in " + (after.getSeconds() + after.getNanos() / 1e9) + " s";
      }
    } catch (InvalidProtocolBufferException damaged) {
      fields = damaged.getMessage();
    }
  }
}
