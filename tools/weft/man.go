package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// manCommand writes manual pages, for packages and for who reads them with man.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man FOLDER",
		Short:   "Writes the manual pages of all commands into a folder",
		Example: "weft man /usr/local/share/man/man1      # then: man weft, man weft-run",
		Args:    arguments(1, 1, "a folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writePages(cmd.Root(), args[0])
		},
	}
}

// writePages writes the page of a command and of those below it.
func writePages(cmd *cobra.Command, folder string) error {
	var b bytes.Buffer
	page(&b, cmd)
	if err := os.WriteFile(filepath.Join(folder, pageName(cmd)+".1"), b.Bytes(), 0o644); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if err := writePages(c, folder); err != nil {
			return err
		}
	}
	return nil
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page writes one page (man(7)), with the examples before everything that explains them.
func page(w io.Writer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(w, ".TH %s 1 \"\" \"weft %s\" \"weft\"\n", strings.ToUpper(pageName(cmd)), currentVersions().Version)
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	use := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		use = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(w, ".SH SYNOPSIS\n.nf\n%s\n.fi\n", roff(use))
	if cmd.HasExample() {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(strings.TrimSpace(cmd.Example)))
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", strings.ReplaceAll(roff(strings.TrimSpace(about)), "\n\n", "\n.PP\n"))
	if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, ".SH OPTIONS\n.nf\n%s\n.fi\n", roff(strings.TrimRight(flags.FlagUsages(), "\n")))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, ".SH OPTIONS OF EVERY COMMAND\n.nf\n%s\n.fi\n", roff(strings.TrimRight(flags.FlagUsages(), "\n")))
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, ".SH EXIT STATUS\n.nf\n%s\n.fi\n", roff(strings.TrimRight(exitCodes, "\n")))
	}
	also := []string{}
	if cmd.HasParent() {
		also = append(also, pageName(cmd.Parent()))
	}
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			also = append(also, pageName(c))
		}
	}
	fmt.Fprint(w, ".SH SEE ALSO\n")
	for i, name := range also {
		end := ","
		if i == len(also)-1 {
			end = ""
		}
		fmt.Fprintf(w, ".BR %s (1)%s\n", roff(name), end)
	}
	fmt.Fprintf(w, ".PP\n%s\n", roff(guide))
}

// roff is text as man(7) takes it: nothing in it is a request or an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
