package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weftrun/weft/abi/spelling"
)

// run carries out one command line and returns the exit code.
func run(ctx context.Context, sys system) int {
	root := newRoot(sys)
	root.SetArgs(sys.args)
	root.SetIn(sys.stdin)
	root.SetOut(sys.stdout)
	root.SetErr(sys.stderr)
	begun := false
	beginning(root, &begun)
	chosen, err := root.ExecuteContextC(ctx)
	var f *failure
	if err != nil && !begun && !errors.As(err, &f) {
		err = usageError("%w", err) // cobra's own checks, such as flags that exclude each other
	}
	if err != nil {
		report(sys.stderr, chosen.CommandPath(), err)
	}
	return exitCode(err)
}

// beginning notes when a command's own code begins: what fails before it is the
// command line.
func beginning(cmd *cobra.Command, begun *bool) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return inner(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		beginning(c, begun)
	}
}

func newRoot(sys system) *cobra.Command {
	root := &cobra.Command{
		Use:   "weft",
		Short: "Routes messages of devices and services through WebAssembly plugins",
		Example: `weft run                                    # the built-in example, on loopback
weft run -c weft.yaml                       # a configuration of your own
weft check -c weft.yaml                     # what is wrong with it, and how to mend it
weft subscribe 'alarm/#'                    # watch messages
weft publish demo/hello 'hello'             # send one`,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:              true,
		SilenceUsage:               true,
		DisableAutoGenTag:          true,
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(help)
	root.SetHelpCommand(helpCommand(root))
	root.AddCommand(
		runCommand(sys), checkCommand(sys), configCommand(sys), pluginCommand(sys), sendCommand(sys), publishCommand(sys), subscribeCommand(sys), requestCommand(sys),
		deadLetterCommand(sys), logCommand(sys), backboneCommand(sys), upstreamCommand(sys), nodesCommand(sys), profileCommand(sys), connectionCommand(sys), fastPathCommand(sys), tailCommand(sys), benchCommand(sys), framesCommand(sys), tokenCommand(sys), versionCommand(sys), compileCommand(),
	)
	root.AddCommand(healthCommand(sys), manCommand())
	if sys.stdout != nil {
		root.SetOut(sys.stdout) // the completion command takes it when it is made
	}
	root.AddCommand(listenerCommand(sys), routeCommand(sys), sessionCommand(sys), subscriptionCommand(sys), drainCommand(sys), topCommand(sys))
	root.InitDefaultCompletionCmd()
	return root
}

// noCommand refuses what is left on the command line when no command was found.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		if best := spelling.Nearest(args[0], like); best != "" {
			like = []string{best}
		}
		return usageError("unknown command %q: did you mean %s?", args[0], strings.Join(like, " or "))
	}
	return usageError("unknown command %q", args[0])
}

// flagError turns a mistake in a flag into a usage error, with the flag that may
// have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if like := likeFlag(cmd, unknown.GetSpecifiedName()); like != "" {
			return usageError("%w: did you mean --%s?", err, like)
		}
	}
	return usageError("%w", err)
}

// likeFlag is the command's flag whose name is nearest, "" if none is near.
func likeFlag(cmd *cobra.Command, name string) string {
	var names []string
	consider := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(consider)
	cmd.InheritedFlags().VisitAll(consider)
	return spelling.Nearest(name, names)
}

// arguments accepts between least and most arguments, described by what.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError("expected %s", what)
		case most >= 0 && len(args) > most:
			return usageError("expected %s, found %q too much", what, args[most:])
		}
		return nil
	}
}

// pairs reads the values of a flag that is given as NAME=VALUE.
func pairs(flag string, given []string) (map[string]string, error) {
	values := make(map[string]string, len(given))
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageError("--%s %q: expected NAME=VALUE", flag, text)
		}
		values[name] = value
	}
	return values, nil
}

// oneOf checks a flag that has a few values.
func oneOf(flag, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return usageError("--%s %q: expected %s", flag, value, strings.Join(allowed, ", "))
}

// note writes words for a person to stderr.
func note(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}
