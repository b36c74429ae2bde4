package storefront;

import attune.recommendations.v1.RecommendationServiceGrpc;
import attune.recommendations.v1.RecommendationServiceOuterClass.RankedProduct;
import attune.recommendations.v1.RecommendationServiceOuterClass.RecommendRequest;
import attune.recommendations.v1.RecommendationServiceOuterClass.RecommendResponse;
import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.io.InputStreamReader;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Prints what Attune would show to one shopper: java storefront.Shortest SHOPPER */
public final class Shortest {
  public static void main(String[] words) throws Exception {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + System.getenv("ATTUNE_API_KEY"));
    Map<String, ?> config =
        new Gson()
            .fromJson(
                new InputStreamReader(Shortest.class.getResourceAsStream("/service_config.json")),
                new TypeToken<Map<String, ?>>() {}.getType());
    ManagedChannel channel =
        Grpc.newChannelBuilder(
                System.getenv("ATTUNE_TARGET"), InsecureChannelCredentials.create())
            .defaultServiceConfig(config)
            .intercept(MetadataUtils.newAttachHeadersInterceptor(headers))
            .build();
    RecommendResponse list =
        RecommendationServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(1, TimeUnit.SECONDS)
            .recommend(RecommendRequest.newBuilder().setUserId(words[0]).build());
    System.out.println(list.getSource());
    for (RankedProduct product : list.getProductsList()) {
      System.out.println(product.getTitle() + ": " + product.getReason().getSentence());
    }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }
}
