import { readFileSync } from "node:fs";
import { credentials, type ClientOptions } from "@grpc/grpc-js";
import {
  RecommendationServiceClient,
} from "./gen/attune/recommendations/v1/recommendation_service.js";

const options: ClientOptions = {
  "grpc.service_config": readFileSync(new URL("../service_config.json", import.meta.url), "utf8"),
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
};

/**
 * Opens the one client, and with it the one channel, that a process needs for as long as it
 * lives: with TLS if `authorities` is a PEM file of whom to trust, else in plaintext.
 */
export function connect(target: string, authorities?: string): RecommendationServiceClient {
  const transport =
    authorities === undefined
      ? credentials.createInsecure()
      : credentials.createSsl(readFileSync(authorities));
  return new RecommendationServiceClient(target, transport, options);
}
