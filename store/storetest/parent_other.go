//go:build !linux && !windows

package storetest

import "os/exec"

func endWithParent(*exec.Cmd) {}
