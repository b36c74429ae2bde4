// Prints what Attune would show to shoppers: node dist/storefront.js [options] SHOPPER...
//
// The servers' name is read from ATTUNE_TARGET, the API key from ATTUNE_API_KEY.
import { parseArgs } from "node:util";
import {
  type CallOptions,
  type ClientUnaryCall,
  Metadata,
  type requestCallback,
  type ServiceError,
} from "@grpc/grpc-js";
import { connect } from "./connect.js";
import { explain } from "./explain.js";
import {
  type RankedProduct,
  type RecommendationServiceClient,
  RecommendRequest,
  type RecommendResponse,
  SimilarProductsRequest,
  type SimilarProductsResponse,
  Source,
} from "./gen/attune/recommendations/v1/recommendation_service.js";

type Start<Answer> = (
  key: Metadata,
  options: CallOptions,
  done: requestCallback<Answer>,
) => ClientUnaryCall;

/** What a shop's pages are made with. */
class Storefront {
  private readonly key = new Metadata();

  constructor(
    private readonly attune: RecommendationServiceClient,
    key: string,
    private readonly seconds: number, // that a call may take, retries included
    private readonly limit: number,
  ) {
    this.key.set("authorization", `Bearer ${key}`);
  }

  /** Shows a shopper's list and, of its first product, what is like it. */
  async serve(shopper: string): Promise<void> {
    const list = await this.recommend(shopper);
    show(shopper, list);
    for (const { productId } of list.products.slice(0, 1)) {
      show(productId, await this.similar(productId));
    }
  }

  private recommend(userId: string): Promise<RecommendResponse> {
    const request = RecommendRequest.create({ userId, limit: this.limit });
    return this.call((...told) => this.attune.recommend(request, ...told));
  }

  private similar(productId: string): Promise<SimilarProductsResponse> {
    const request = SimilarProductsRequest.create({ productId, limit: this.limit });
    return this.call((...told) => this.attune.similarProducts(request, ...told));
  }

  /** One call, with the key and a deadline of its own. */
  private call<Answer>(start: Start<Answer>): Promise<Answer> {
    const deadline = Date.now() + this.seconds * 1000;
    return new Promise((resolve, reject) => {
      start(this.key, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer!)));
    });
  }
}

/** Prints a list under the heading that its source deserves. */
function show(whose: string, list: RecommendResponse | SimilarProductsResponse): void {
  console.log(`${heading(list.source)} (${whose})`);
  list.products.forEach((product: RankedProduct) => {
    console.log(`  ${product.title}: ${product.reason?.sentence}`);
  });
  console.log(`  attribution token: ${list.attributionToken}`);
}

/** Promises no more than is true: a source that is not known reads as popular. */
function heading(source: Source): string {
  switch (source) {
    case Source.SOURCE_PERSONAL:
      return "Chosen for you";
    case Source.SOURCE_SIMILAR:
      return "Like this";
    case Source.SOURCE_TRENDING:
      return "Trending now";
    default:
      return "Popular";
  }
}

const { values: told, positionals: shoppers } = parseArgs({
  allowPositionals: true,
  options: {
    tls: { type: "string" }, // a PEM file of whom to trust; uses TLS
    deadline: { type: "string", default: "1" }, // seconds a call may take
    limit: { type: "string", default: "3" }, // how many products to show
  },
});
const { ATTUNE_TARGET = "", ATTUNE_API_KEY = "" } = process.env;
const attune = connect(ATTUNE_TARGET, told.tls);
const shop = new Storefront(attune, ATTUNE_API_KEY, Number(told.deadline), Number(told.limit));
for (const shopper of shoppers) {
  try {
    await shop.serve(shopper);
  } catch (error) {
    console.error(`${shopper}: ${explain(error as ServiceError)}`);
    process.exitCode = 1;
  }
}
attune.close();
