package backbone

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATS's codes of what a caller has to know.
const (
	codeUnavailable   jetstream.ErrorCode = 10008 // no leader
	codeResources     jetstream.ErrorCode = 10023
	codeStorage       jetstream.ErrorCode = 10047
	codeMemory        jetstream.ErrorCode = 10028
	codeStreams       jetstream.ErrorCode = 10027
	codePlacement     jetstream.ErrorCode = 10005
	codeNotClustered  jetstream.ErrorCode = 10074
	codeStoreFailed   jetstream.ErrorCode = 10077
	codeWrongLast     jetstream.ErrorCode = 10071
	codeWrongLastAny  jetstream.ErrorCode = 10164
	codeTooLarge      jetstream.ErrorCode = 10054
	storeFull                             = "maximum bytes exceeded"
	storeFullMessages                     = "maximum messages exceeded"
)

// known gives an error of NATS the sentinel of this package that says the same, and
// keeps its text. Everything that a caller sees goes through here.
func known(err error) error {
	if err == nil || errors.Is(err, ErrAway) { // it is known already
		return err
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codeUnavailable:
			return fmt.Errorf("%w: %w", ErrAway, err)
		case codeWrongLast, codeWrongLastAny:
			return fmt.Errorf("%w: %w", ErrConflict, err)
		case codeResources, codeStorage, codeMemory:
			return fmt.Errorf("%w: %w", ErrFull, err)
		case codeTooLarge:
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		case codeStoreFailed:
			if strings.Contains(api.Description, storeFull) || strings.Contains(api.Description, storeFullMessages) {
				return fmt.Errorf("%w: %w", ErrFull, err)
			}
		}
		return err
	}
	for _, away := range []error{
		nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrReconnectBufExceeded, nats.ErrDisconnected, nats.ErrTimeout,
		nats.ErrNoServers, nats.ErrConnectionReconnecting, jetstream.ErrNoStreamResponse, jetstream.ErrNoHeartbeat, context.DeadlineExceeded,
	} {
		if errors.Is(err, away) {
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}

// stream creates a stream or changes the one that is there; c.Replicas is filled in.
// What a stream has it keeps where the configuration leaves the choice: copies are
// not taken away because a server is down at the moment.
func (b *Backbone) stream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := b.place(ctx, c)
	if err == nil {
		err = b.settle(c.Name)
	}
	return s, err
}

func (b *Backbone) place(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	c.Replicas = b.options.Replicas
	there, err := b.js.Stream(ctx, c.Name)
	switch {
	case err == nil:
		if c.Replicas == 0 {
			c.Replicas = there.CachedInfo().Config.Replicas
		}
		s, err := b.js.UpdateStream(ctx, c)
		return s, known(err)
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, known(err)
	}
	chosen := c.Replicas
	if c.Replicas = max(chosen, 1); chosen == 0 && b.clustered() {
		c.Replicas = replicasOfCluster
	}
	s, err := b.js.CreateOrUpdateStream(ctx, c)
	var api *jetstream.APIError
	if errors.As(err, &api) && chosen == 0 && c.Replicas > 1 && api.ErrorCode == codeNotClustered {
		c.Replicas = 1
		s, err = b.js.CreateOrUpdateStream(ctx, c)
	}
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case codePlacement:
			return nil, fmt.Errorf("%w: fewer than %d servers of the cluster can hold it: start the others, or write backbone.replicas: 1 (%w)", ErrAway, c.Replicas, err)
		case codeStorage, codeResources, codeMemory:
			return nil, fmt.Errorf("%w: %d bytes for %s are more than is left: raise backbone.size, or lower the sizes of what is kept (%w)", ErrFull, c.MaxBytes, c.Name, err)
		case codeStreams:
			return nil, fmt.Errorf("%w: the account of the NATS server may have no further stream (%w)", ErrFull, err)
		}
	}
	return s, known(err)
}

// replicasOfCluster is how many copies there are if the configuration does not say:
// one server may then be lost.
const replicasOfCluster = 3

// clustered tells whether the server is one of several.
func (b *Backbone) clustered() bool { return b.server == nil && b.conn.ConnectedClusterName() != "" }
