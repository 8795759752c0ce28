package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type letterListing struct {
	api     api
	filter  letterFilter
	count   uint32
	timeout time.Duration
	json    bool
}

// letterLine is a letter as --json prints it in a list.
type letterLine struct {
	ID          uint64            `json:"id"`
	Time        time.Time         `json:"time"`
	Cause       string            `json:"cause"`
	Text        string            `json:"text,omitempty"`
	Plugin      string            `json:"plugin,omitempty"`
	Generation  uint64            `json:"generation,omitempty"`
	Hook        string            `json:"hook"`
	Listener    string            `json:"listener,omitempty"`
	Session     uint64            `json:"session,omitempty,string"`
	Remote      string            `json:"remote,omitempty"`
	Topic       string            `json:"topic"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	PayloadSize uint32            `json:"payload_size"`
	FrameSize   uint32            `json:"frame_size"`
	Attempts    uint32            `json:"attempts,omitempty"`
	LastResult  string            `json:"last_result,omitempty"`
}

// letterList is what list --json prints.
type letterList struct {
	Total     uint32        `json:"total"`
	Displaced uint64        `json:"displaced"`
	Lost      uint64        `json:"lost"`
	Groups    []letterGroup `json:"groups"`
	Letters   []letterLine  `json:"letters"`
}

type letterGroup struct {
	Cause      string    `json:"cause"`
	Plugin     string    `json:"plugin,omitempty"`
	Generation uint64    `json:"generation,omitempty"`
	Count      uint32    `json:"count"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
}

func deadLetterListCommand(sys system) *cobra.Command {
	var l letterListing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists dead letters, grouped, then the newest",
		Long: `Lists dead letters: how many there are by cause, plugin and generation, then the newest one by one.

A cause is route (the configuration sent it here), untaken (a durable route's destination did not take it), conversion (its payload could not be converted), plugin (a plugin's verdict did), or how a plugin failed: trap, fuel (its
CPU budget), depth (of its calls), fault (its answer broke the contract), back_off (it rests), buffer (no room).`,
		Example: `weft deadletter list
weft deadletter list --plugin filter --since 10m
weft deadletter list --cause fuel --json | jq '.groups'`,
		Args: arguments(0, 0, "no arguments; --plugin and other flags choose"),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	l.filter.flags(cmd)
	f.Uint32VarP(&l.count, "count", "n", 20, "list so many letters (0: only the groups)")
	f.BoolVar(&l.json, "json", false, "print JSON, one document: groups and letters")
	f.DurationVar(&l.timeout, "timeout", 10*time.Second, "give up after this long")
	l.api.flags(cmd, sys)
	return cmd
}

func (l *letterListing) run(cmd *cobra.Command) error {
	filter, err := l.filter.message()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), l.timeout)
	defer cancel()
	list := letterList{Groups: []letterGroup{}, Letters: []letterLine{}}
	request := &weftv1.DeadLettersListRequest{Filter: filter}
	for first := true; first || len(list.Letters) < int(l.count) && request.PageToken != ""; first = false {
		request.PageSize = min(max(l.count-uint32(len(list.Letters)), 1), 1000)
		r, err := l.api.deadLetters().List(ctx, connect.NewRequest(request))
		if err != nil {
			return letterFailed(&l.api, err)
		}
		if first {
			list.of(r.Msg)
		}
		for _, letter := range r.Msg.Letters {
			if len(list.Letters) < int(l.count) {
				list.Letters = append(list.Letters, toLine(letter))
			}
		}
		request.PageToken = r.Msg.NextPageToken
	}
	if l.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(list)
	}
	return list.print(cmd.OutOrStdout(), cmd, l.filter.empty())
}

func (list *letterList) of(r *weftv1.DeadLettersListResponse) {
	list.Total, list.Displaced, list.Lost = r.Total, r.Displaced, r.Lost
	for _, g := range r.Groups {
		list.Groups = append(list.Groups, letterGroup{g.Cause, g.Plugin, g.Generation, g.Count, asTime(g.First), asTime(g.Last)})
	}
}

func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toLine(l *weftv1.DeadLetter) letterLine {
	return letterLine{
		ID: l.Id, Time: asTime(l.Time), Cause: l.Cause, Text: l.Text, Plugin: l.Plugin, Generation: l.Generation, Hook: l.Hook,
		Listener: l.Listener, Session: l.GetMessage().GetSession(), Remote: l.Remote, Topic: l.GetMessage().GetTopic(),
		Attributes: l.GetMessage().GetAttributes(), PayloadSize: l.PayloadSize, FrameSize: l.FrameSize, Attempts: l.Attempts, LastResult: l.LastResult,
	}
}

func (list *letterList) print(w io.Writer, cmd *cobra.Command, everything bool) error {
	if list.Displaced > 0 || list.Lost > 0 {
		note(cmd, "%d older letters made room for newer ones (dead_letter.keep and size bound them), %d were never kept: too many came at once", list.Displaced, list.Lost)
	}
	if list.Total == 0 {
		if everything {
			note(cmd, "no dead letters: no plugin with \"on_failure: quarantine\" has failed, and nothing was routed to dead-letter, since weft started")
		} else {
			note(cmd, "no dead letter is like that; without flags weft deadletter list shows all")
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COUNT\tCAUSE\tPLUGIN\tFIRST\tLAST")
	for _, g := range list.Groups {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", g.Count, g.Cause, generationText(g.Plugin, g.Generation), clockText(g.First), clockText(g.Last))
	}
	if err := t.Flush(); err != nil || len(list.Letters) == 0 {
		return err
	}
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tTIME\tCAUSE\tPLUGIN\tLISTENER\tTOPIC\tBYTES\tREPLAYED\tWHY")
	for _, l := range list.Letters {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.ID, clockText(l.Time), l.Cause, generationText(l.Plugin, l.Generation),
			orDash(l.Listener), printable(l.Topic), l.PayloadSize, attemptsText(l.Attempts), printable(shorten(l.Text, 60)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := int(list.Total) - len(list.Letters); more > 0 {
		note(cmd, "and %d more: --count", more)
	}
	return nil
}

// generationText is a plugin with its generation where that is known.
func generationText(plugin string, generation uint64) string {
	switch {
	case plugin == "":
		return "-"
	case generation == 0:
		return plugin
	}
	return fmt.Sprintf("%s#%d", plugin, generation)
}

func attemptsText(n uint32) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%dx", n)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func clockText(t time.Time) string { return t.Local().Format("01-02 15:04:05.000") }

// shorten cuts a text to at most so many characters.
func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
