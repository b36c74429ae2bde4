// Command shortest prints what Attune would show to one shopper: shortest SHOPPER
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	api "example.com/storefront/gen/attune/recommendations/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func main() {
	config, err := os.ReadFile("service_config.json")
	if err != nil {
		log.Fatal(err)
	}
	channel, err := grpc.NewClient(os.Getenv("ATTUNE_TARGET"), // such as dns:///127.0.0.1:50051
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(string(config)))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	attune := api.NewRecommendationServiceClient(channel)

	call, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	call = metadata.AppendToOutgoingContext(call,
		"authorization", "Bearer "+os.Getenv("ATTUNE_API_KEY"))
	list, err := attune.Recommend(call, &api.RecommendRequest{UserId: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list.GetSource())
	for _, product := range list.GetProducts() {
		fmt.Printf("%s: %s\n", product.GetTitle(), product.GetReason().GetSentence())
	}
}
