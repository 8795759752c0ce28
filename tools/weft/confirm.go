package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// confirmation is what commands have in common that ask before they do what cannot be
// undone.
type confirmation struct{ yes bool }

func (c *confirmation) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&c.yes, "yes", "y", false, "do not ask")
}

// ask makes sure that somebody means it: what is the question without its mark, instead
// what a script says. Where nobody can answer nothing is done.
func (c *confirmation) ask(cmd *cobra.Command, sys system, what, instead string) error {
	if c.yes {
		return nil
	}
	if !isTerminal(sys.stdin) {
		return fail(exitUsage, fmt.Errorf("nobody is here to ask: %s? Nothing was done", what), "Say "+instead+".")
	}
	return answered(cmd, sys, what)
}

// answered asks the person at the terminal.
func answered(cmd *cobra.Command, sys system, what string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? [y/N] ", what)
	line, _ := bufio.NewReader(sys.stdin).ReadString('\n') // the end of the input is a no
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return fail(exitUsage, errors.New("nothing was done"), "")
	}
	return nil
}

// isTerminal tells whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
