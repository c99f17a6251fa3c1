package main

import (
	"errors"

	"foyer/push"
)

// tryAs returns an error where the program could not read its settings and secrets as another account, judging by their access control lists. "" stands for Local System.
func tryAs(account, _, settings string, files []string) error {
	var failures []error
	for _, file := range append([]string{settings}, files...) {
		failures = append(failures, push.ReadableBy(account, file))
	}
	if err := errors.Join(failures...); err != nil {
		return misused("%v", err)
	}
	return nil
}
