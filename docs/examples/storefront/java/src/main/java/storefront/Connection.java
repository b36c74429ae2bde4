package storefront;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** The one channel that a process needs, for as long as it lives. */
final class Connection {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private Connection() {}

  /** Opens it: with TLS if {@code authorities} is a PEM file of whom to trust, else plaintext. */
  static ManagedChannel open(String target, File authorities, String apiKey) throws IOException {
    ChannelCredentials transport =
        authorities == null
            ? InsecureChannelCredentials.create()
            : TlsChannelCredentials.newBuilder().trustManager(authorities).build();
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + apiKey);
    return Grpc.newChannelBuilder(target, transport)
        .defaultServiceConfig(serviceConfig())
        .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
        .keepAliveTime(30, TimeUnit.SECONDS)
        .keepAliveTimeout(5, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .build();
  }

  /** Retries and balancing, as JSON has them: every number is a double, as gRPC wants it. */
  static Map<String, ?> serviceConfig() throws IOException {
    try (Reader file =
        new InputStreamReader(
            Connection.class.getResourceAsStream("/service_config.json"), StandardCharsets.UTF_8)) {
      return new Gson().fromJson(file, new TypeToken<Map<String, ?>>() {}.getType());
    }
  }
}
