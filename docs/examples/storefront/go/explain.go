package main

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explain says what a failed call means: the server's reason, and what can be done about it.
func explain(err error) string {
	told := status.Convert(err)
	reason, fields, delay := details(told)
	switch {
	case told.Code() == codes.InvalidArgument:
		return fmt.Sprintf("%s: the request is wrong: %s", reason, strings.Join(fields, "; "))
	case told.Code() == codes.Unavailable, told.Code() == codes.ResourceExhausted:
		return fmt.Sprintf("%s: try again %s: %s", reason, delay, told.Message())
	default:
		return fmt.Sprintf("%s: %s", reason, told.Message())
	}
}

// details reads the standard ones; without them the status is all that is known.
func details(told *status.Status) (reason string, fields []string, delay string) {
	reason, delay = told.Code().String(), "later"
	for _, detail := range told.Details() {
		switch each := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = each.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range each.GetFieldViolations() {
				fields = append(fields, violation.GetField()+" "+violation.GetDescription())
			}
		case *errdetails.RetryInfo:
			delay = fmt.Sprintf("in %v", each.GetRetryDelay().AsDuration())
		}
	}
	return reason, fields, delay
}
