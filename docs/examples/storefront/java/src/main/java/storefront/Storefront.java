package storefront;

import attune.recommendations.v1.RecommendationServiceGrpc;
import attune.recommendations.v1.RecommendationServiceGrpc.RecommendationServiceBlockingStub;
import attune.recommendations.v1.RecommendationServiceOuterClass.RankedProduct;
import attune.recommendations.v1.RecommendationServiceOuterClass.RecommendRequest;
import attune.recommendations.v1.RecommendationServiceOuterClass.RecommendResponse;
import attune.recommendations.v1.RecommendationServiceOuterClass.SimilarProductsRequest;
import attune.recommendations.v1.RecommendationServiceOuterClass.SimilarProductsResponse;
import attune.recommendations.v1.RecommendationServiceOuterClass.Source;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Prints what Attune would show to shoppers: java storefront.Storefront [options] SHOPPER...
 *
 * <p>The servers' name is read from ATTUNE_TARGET, the API key from ATTUNE_API_KEY.
 */
public final class Storefront {
  private final RecommendationServiceBlockingStub attune;
  private final Options told;

  private Storefront(RecommendationServiceBlockingStub attune, Options told) {
    this.attune = attune;
    this.told = told;
  }

  public static void main(String[] words) throws IOException, InterruptedException {
    Options told = Options.of(words);
    ManagedChannel channel =
        Connection.open(
            System.getenv("ATTUNE_TARGET"), told.tls(), System.getenv("ATTUNE_API_KEY"));
    Storefront shop = new Storefront(RecommendationServiceGrpc.newBlockingStub(channel), told);
    int status = 0;
    for (String shopper : told.shoppers()) {
      try {
        shop.serve(shopper);
      } catch (StatusRuntimeException error) {
        System.err.println(shopper + ": " + Explanation.of(error));
        status = 1;
      }
    }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    System.exit(status);
  }

  /** Shows a shopper's list and, of its first product, what is like it. */
  private void serve(String shopper) {
    RecommendResponse list =
        attune()
            .recommend(
                RecommendRequest.newBuilder().setUserId(shopper).setLimit(told.limit()).build());
    show(shopper, list.getSource(), list.getProductsList(), list.getAttributionToken());
    if (list.getProductsCount() == 0) {
      return;
    }
    String first = list.getProducts(0).getProductId();
    SimilarProductsResponse like =
        attune()
            .similarProducts(
                SimilarProductsRequest.newBuilder()
                    .setProductId(first)
                    .setLimit(told.limit())
                    .build());
    show(first, like.getSource(), like.getProductsList(), like.getAttributionToken());
  }

  /** The stub for one call: its deadline begins now and holds for retries, too. */
  private RecommendationServiceBlockingStub attune() {
    return attune.withDeadlineAfter(told.deadlineMs(), TimeUnit.MILLISECONDS);
  }

  /** Prints a list under the heading that its source deserves. */
  private static void show(
      String whose, Source source, List<RankedProduct> products, String token) {
    System.out.println(heading(source) + " (" + whose + ")");
    for (RankedProduct product : products) {
      System.out.println("  " + product.getTitle() + ": " + product.getReason().getSentence());
    }
    System.out.println("  attribution token: " + token);
  }

  /** Promises no more than is true: a source that is not known reads as popular. */
  private static String heading(Source source) {
    return switch (source) {
      case SOURCE_PERSONAL -> "Chosen for you";
      case SOURCE_SIMILAR -> "Like this";
      case SOURCE_TRENDING -> "Trending now";
      default -> "Popular";
    };
  }
}
