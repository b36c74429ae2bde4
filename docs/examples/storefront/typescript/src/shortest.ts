// Prints what Attune would show to one shopper: node dist/shortest.js SHOPPER
import { readFileSync } from "node:fs";
import { credentials, Metadata } from "@grpc/grpc-js";
import {
  RecommendationServiceClient,
  RecommendRequest,
  sourceToJSON,
} from "./gen/attune/recommendations/v1/recommendation_service.js";

const { ATTUNE_TARGET = "", ATTUNE_API_KEY = "" } = process.env;
const key = new Metadata();
key.set("authorization", `Bearer ${ATTUNE_API_KEY}`);
const attune = new RecommendationServiceClient(ATTUNE_TARGET, credentials.createInsecure(), {
  "grpc.service_config": readFileSync("service_config.json", "utf8"),
});
const request = RecommendRequest.create({ userId: process.argv[2] });
attune.recommend(request, key, { deadline: Date.now() + 1000 }, (error, answer) => {
  if (error) throw error;
  console.log(sourceToJSON(answer.source));
  for (const product of answer.products) {
    console.log(`${product.title}: ${product.reason?.sentence}`);
  }
  attune.close();
});
