package main

import (
	"context"
	_ "embed"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

//go:embed service_config.json
var serviceConfig string

// connect opens the one channel that a process needs, for as long as it lives. It speaks TLS
// if authorities names a PEM file of whom to trust, and plaintext if it is empty.
func connect(target, authorities, key string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if authorities != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(authorities, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(apiKey(key)),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                30 * time.Second,
			Timeout:             5 * time.Second,
			PermitWithoutStream: true,
		}))
}

// apiKey says with each call whose shop it is about.
type apiKey string

func (key apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(key)}, nil
}

// RequireTransportSecurity lets the key go over plaintext too, which a mesh may encrypt.
func (apiKey) RequireTransportSecurity() bool {
	return false
}
