package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

type letterPurge struct {
	api     api
	filter  letterFilter
	all     bool
	yes     bool
	timeout time.Duration
	json    bool
}

// purged is what purge --json prints.
type purged struct {
	Deleted uint32 `json:"deleted"`
	Would   uint32 `json:"would_delete,omitempty"`
}

func deadLetterPurgeCommand(sys system) *cobra.Command {
	var p letterPurge
	cmd := &cobra.Command{
		Use:   "purge [ID...]",
		Short: "Deletes dead letters for good",
		Long: `Deletes dead letters for good: those with the given ids, or those that the flags choose.

Chosen by flags they are only counted until --yes is given, too.`,
		Example: `weft deadletter purge 17 18
weft deadletter purge --plugin filter               # how many it would be
weft deadletter purge --plugin filter --yes
weft deadletter purge --all --yes`,
		Args: arguments(0, -1, "ids of letters, or flags that choose"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.run(cmd, args) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	p.filter.flags(cmd)
	f.BoolVar(&p.all, "all", false, "every letter")
	f.BoolVarP(&p.yes, "yes", "y", false, "delete what the flags choose")
	f.BoolVar(&p.json, "json", false, "print JSON")
	f.DurationVar(&p.timeout, "timeout", 10*time.Second, "give up after this long")
	p.api.flags(cmd, sys)
	return cmd
}

func (p *letterPurge) run(cmd *cobra.Command, args []string) error {
	ids, err := letterIDs(args)
	if err != nil {
		return err
	}
	if err := chooseLetters(ids, &p.filter, p.all); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), p.timeout)
	defer cancel()
	result, err := p.purge(ctx, ids)
	if err != nil {
		return err
	}
	if gone := len(ids) - int(result.Deleted); len(ids) > 0 && gone > 0 {
		if result.Deleted == 0 {
			return fail(exitUsage, fmt.Errorf("no such dead letter: %s", strings.Join(args, " ")), "weft deadletter list shows those that are kept.")
		}
		note(cmd, "not there any more: %s", plural(gone, "letter"))
	}
	switch {
	case p.json:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	case len(ids) == 0 && !p.yes:
		fmt.Fprintf(cmd.OutOrStdout(), "%s would be deleted\n", plural(int(result.Would), "letter"))
		note(cmd, "nothing was deleted; --yes does it")
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", plural(int(result.Deleted), "letter"))
	}
	return nil
}

func (p *letterPurge) purge(ctx context.Context, ids []uint64) (purged, error) {
	client := p.api.deadLetters()
	if len(ids) > 0 {
		r, err := client.Delete(ctx, connect.NewRequest(&weftv1.DeadLettersDeleteRequest{Ids: ids}))
		if err != nil {
			return purged{}, letterFailed(&p.api, err)
		}
		return purged{Deleted: r.Msg.Deleted}, nil
	}
	filter, err := p.filter.message()
	if err != nil {
		return purged{}, err
	}
	if !p.yes {
		r, err := client.List(ctx, connect.NewRequest(&weftv1.DeadLettersListRequest{Filter: filter, PageSize: 1}))
		if err != nil {
			return purged{}, letterFailed(&p.api, err)
		}
		return purged{Would: r.Msg.Total}, nil
	}
	r, err := client.Purge(ctx, connect.NewRequest(&weftv1.DeadLettersPurgeRequest{Filter: filter, All: p.all}))
	if err != nil {
		return purged{}, letterFailed(&p.api, err)
	}
	return purged{Deleted: r.Msg.Deleted}, nil
}
