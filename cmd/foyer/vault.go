package main

import (
	"fmt"
	"strings"
)

type vaultCmd struct {
	Rotate vaultRotateCmd `cmd:"" help:"Make another key at rest, and encrypt under it whatever is encrypted."`
	Retire vaultRetireCmd `cmd:"" help:"Remove the keys at rest under which nothing is encrypted any more."`
}

type vaultRotateCmd struct{}

// Run makes another key at rest.
func (c *vaultRotateCmd) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	number, err := o.vault.AddAtRest()
	if err != nil {
		return err
	}
	resealed, err := o.Reseal(a.ctx, o.operator)
	if err != nil {
		return fmt.Errorf("the key number %d was made, and not all is encrypted under it yet; run the command again: %w", number, err)
	}
	return a.said(map[string]int{"key": number, "encrypted": resealed}, "Made the key at rest number %d, and encrypted %d parts of held runs under it. Back up keys/at-rest. The old key stays until: foyer vault retire", number, resealed)
}

type vaultRetireCmd struct{}

// Run removes the keys at rest that are not needed.
func (c *vaultRetireCmd) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	dropped, err := o.DropAtRest(a.ctx, o.operator)
	if err != nil {
		return err
	}
	return a.said(map[string]any{"removed": append([]int{}, dropped...)}, "Removed the keys at rest: %s.", dash(strings.Trim(fmt.Sprint(dropped), "[]")))
}
