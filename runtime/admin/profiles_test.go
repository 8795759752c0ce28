package admin_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// One profile is taken at a time, within bounds, and who gives up makes room.
func TestProfiles(t *testing.T) {
	r := start(t, nil)
	client := weftv1connect.NewProfilesClient(http.DefaultClient, r.url)
	take := func(ctx context.Context, kind weftv1.ProfileKind, d time.Duration) error {
		_, err := client.Take(ctx, connect.NewRequest(&weftv1.ProfilesTakeRequest{Kind: kind, Duration: durationpb.New(d)}))
		return err
	}
	const block, heap = weftv1.ProfileKind_PROFILE_KIND_BLOCK, weftv1.ProfileKind_PROFILE_KIND_HEAP
	for _, d := range []time.Duration{-1, 0, time.Hour} {
		if err := take(t.Context(), block, d); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("for %s: %v", d, err)
		}
	}
	if err := take(t.Context(), 0, time.Second); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("no kind: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := take(ctx, block, time.Minute)
		for connect.CodeOf(err) == connect.CodeResourceExhausted { // one of those below is being taken
			err = take(ctx, block, time.Minute)
		}
		ended <- err
	}()
	for connect.CodeOf(take(t.Context(), heap, time.Second)) != connect.CodeResourceExhausted {
		time.Sleep(time.Millisecond) // it has not begun
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was given up, and ended well")
	}
	for take(t.Context(), heap, time.Second) != nil {
		time.Sleep(time.Millisecond)
	}
}
