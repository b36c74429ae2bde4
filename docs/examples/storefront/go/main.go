// Command storefront prints what Attune would show to shoppers: storefront [flags] SHOPPER...
//
// The servers' name is read from ATTUNE_TARGET, the API key from ATTUNE_API_KEY.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	api "example.com/storefront/gen/attune/recommendations/v1"
)

func main() {
	authorities := flag.String("tls", "", "speak TLS, trusting the authorities of this PEM `file`")
	seconds := flag.Float64("deadline", 1, "how many `seconds` a call may take")
	limit := flag.Int("limit", 3, "how many products to show")
	flag.Parse()
	channel, err := connect(os.Getenv("ATTUNE_TARGET"), *authorities, os.Getenv("ATTUNE_API_KEY"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	defer channel.Close()
	deadline := time.Duration(*seconds * float64(time.Second))
	shop := storefront{api.NewRecommendationServiceClient(channel), deadline, int32(*limit)}
	for _, shopper := range flag.Args() {
		if err := shop.serve(shopper); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", shopper, explain(err))
			defer os.Exit(1)
		}
	}
}

// storefront is what a shop's pages are made with.
type storefront struct {
	attune   api.RecommendationServiceClient
	deadline time.Duration
	limit    int32
}

// serve shows a shopper's list and, of its first product, what is like it.
func (shop storefront) serve(shopper string) error {
	list, err := shop.recommend(shopper)
	if err != nil {
		return err
	}
	show(shopper, list.GetSource(), list.GetProducts(), list.GetAttributionToken())
	if len(list.GetProducts()) == 0 {
		return nil
	}
	first := list.GetProducts()[0].GetProductId()
	like, err := shop.similar(first)
	if err != nil {
		return err
	}
	show(first, like.GetSource(), like.GetProducts(), like.GetAttributionToken())
	return nil
}

func (shop storefront) recommend(shopper string) (*api.RecommendResponse, error) {
	call, cancel := context.WithTimeout(context.Background(), shop.deadline)
	defer cancel()
	return shop.attune.Recommend(call, &api.RecommendRequest{UserId: shopper, Limit: &shop.limit})
}

func (shop storefront) similar(product string) (*api.SimilarProductsResponse, error) {
	call, cancel := context.WithTimeout(context.Background(), shop.deadline)
	defer cancel()
	request := &api.SimilarProductsRequest{ProductId: product, Limit: &shop.limit}
	return shop.attune.SimilarProducts(call, request)
}

// show prints a list under the heading that its source deserves.
func show(whose string, source api.Source, products []*api.RankedProduct, token string) {
	fmt.Printf("%s (%s)\n", heading(source), whose)
	for _, product := range products {
		fmt.Printf("  %s: %s\n", product.GetTitle(), product.GetReason().GetSentence())
	}
	fmt.Printf("  attribution token: %s\n", token)
}

// heading promises no more than is true: a source that is not known reads as popular.
func heading(source api.Source) string {
	switch source {
	case api.Source_SOURCE_PERSONAL:
		return "Chosen for you"
	case api.Source_SOURCE_SIMILAR:
		return "Like this"
	case api.Source_SOURCE_TRENDING:
		return "Trending now"
	default:
		return "Popular"
	}
}
