package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/weftrun/weft/abi"
	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/admin/weftv1"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
	"github.com/weftrun/weft/runtime/delivery"
)

// fakeLetters replays by the text of a letter's payload: the outcome.
type fakeLetters struct {
	store *delivery.DeadLetterStore

	mu   sync.Mutex
	seen []uint64
	busy int
}

func (f *fakeLetters) Store() *delivery.DeadLetterStore { return f.store }
func (f *fakeLetters) Lost() uint64                     { return 7 }

func (f *fakeLetters) Check(l *delivery.DeadLetter, _ admin.ReplayWay) error {
	if string(l.Message.Payload) == "refused" {
		return fmt.Errorf("%w: no", admin.ErrNotReplayable)
	}
	return nil
}

func (f *fakeLetters) Replay(l *delivery.DeadLetter, way admin.ReplayWay) (admin.ReplayResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy > 0 {
		f.busy--
		return admin.ReplayResult{}, admin.ErrBusy
	}
	f.seen = append(f.seen, l.ID)
	if string(l.Message.Payload) == "panics" {
		panic("a replay")
	}
	return admin.ReplayResult{Outcome: string(l.Message.Payload), Reason: way.Topic, Copies: 1}, f.Check(l, way)
}

func startLetters(t *testing.T, outcomes ...string) (*fakeLetters, weftv1connect.DeadLettersClient) {
	t.Helper()
	f := &fakeLetters{store: delivery.NewDeadLetterStore(delivery.DeadLetterLimits{Keep: 10000, Bytes: 64 << 20})}
	for i, outcome := range outcomes {
		f.store.Add(&delivery.DeadLetter{
			Time: int64(i + 1), Plugin: "p", Cause: "trap", Hook: "messages",
			Message: abi.Message{Topic: fmt.Appendf(nil, "t/%d", i+1), Payload: []byte(outcome), Frame: []byte{1}},
		})
	}
	r := start(t, func(o *admin.Options) { o.DeadLetters = f })
	return f, weftv1connect.NewDeadLettersClient(client(t, true), r.url, connect.WithGRPC())
}

func TestLettersComeInPages(t *testing.T) {
	_, c := startLetters(t, strings.Fields(strings.Repeat("delivered ", 25))...)
	var got []uint64
	request := &weftv1.DeadLettersListRequest{PageSize: 10}
	for pages := 1; ; pages++ {
		r, err := c.List(t.Context(), connect.NewRequest(request))
		if err != nil {
			t.Fatal(err)
		}
		if r.Msg.Total != 25 || len(r.Msg.Groups) != 1 || r.Msg.Groups[0].Count != 25 || r.Msg.Lost != 7 {
			t.Fatalf("page %d: %v", pages, r.Msg)
		}
		for _, l := range r.Msg.Letters {
			if l.Frame != nil || l.FrameSize != 1 || l.PayloadSize != 9 || l.Message.Body != nil {
				t.Fatalf("a letter of a list: %v", l)
			}
			got = append(got, l.Id)
		}
		if request.PageToken = r.Msg.NextPageToken; request.PageToken == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	for i, id := range got {
		if id != uint64(25-i) {
			t.Fatalf("the letters are %v", got)
		}
	}
}

// replay is the outcomes of a replay, as ID OUTCOME.
func replay(t *testing.T, c weftv1connect.DeadLettersClient, r *weftv1.DeadLettersReplayRequest) ([]string, error) {
	t.Helper()
	stream, err := c.Replay(t.Context(), connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }()
	var list []string
	for stream.Receive() {
		list = append(list, fmt.Sprintf("%d %s %v", stream.Msg().Id, stream.Msg().Outcome, stream.Msg().Removed))
	}
	return list, stream.Err()
}

func TestReplaySaysOfEachWhatBecameOfIt(t *testing.T) {
	f, c := startLetters(t, "delivered", "dead", "refused", "replied", "filtered")
	all := &weftv1.DeadLetterFilter{}
	got, err := replay(t, c, &weftv1.DeadLettersReplayRequest{Filter: all, DryRun: true})
	if want := "1 ready false,2 ready false,3 refused false,4 ready false,5 ready false"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("a dry run: %v, %v", got, err)
	}
	if len(f.seen) != 0 {
		t.Errorf("a dry run replayed %v", f.seen)
	}
	f.mu.Lock()
	f.busy = 3
	f.mu.Unlock()
	got, err = replay(t, c, &weftv1.DeadLettersReplayRequest{Filter: all, Rate: 10000})
	if want := "1 delivered true,2 dead false,3 refused false,4 replied true,5 filtered false"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("a replay: %v, %v", got, err)
	}
	got, err = replay(t, c, &weftv1.DeadLettersReplayRequest{Ids: []uint64{1, 2}, Rate: 10000})
	if want := "1 gone false,2 dead false"; err != nil || strings.Join(got, ",") != want {
		t.Errorf("by ids: %v, %v", got, err)
	}
	l, err := c.Get(t.Context(), connect.NewRequest(&weftv1.DeadLettersGetRequest{Id: 2}))
	if err != nil || l.Msg.Letter.Attempts != 2 || l.Msg.Letter.LastResult != "dead" {
		t.Errorf("afterwards: %v, %v", l, err)
	}
	if got, err = replay(t, c, &weftv1.DeadLettersReplayRequest{Filter: all, Limit: 1}); err != nil || len(got) != 1 {
		t.Errorf("one of them: %v, %v", got, err)
	}
}

// A replay that panics gives its letter back: it can be replayed again.
func TestAReplayThatPanicsLocksNoLetter(t *testing.T) {
	f, c := startLetters(t, "panics")
	for n := range 2 {
		if _, err := replay(t, c, &weftv1.DeadLettersReplayRequest{Ids: []uint64{1}}); connect.CodeOf(err) != connect.CodeInternal {
			t.Errorf("%v", err)
		}
		if len(f.seen) != n+1 {
			t.Errorf("it was replayed %d times", len(f.seen))
		}
	}
}

func TestReplayKeepsToItsRate(t *testing.T) {
	_, c := startLetters(t, "delivered", "delivered", "delivered", "delivered")
	began := time.Now()
	if got, err := replay(t, c, &weftv1.DeadLettersReplayRequest{Filter: &weftv1.DeadLetterFilter{}, Rate: 20}); err != nil || len(got) != 4 {
		t.Fatalf("%v, %v", got, err)
	}
	if took := time.Since(began); took < 140*time.Millisecond {
		t.Errorf("4 letters at 20 a second took %s", took)
	}
}

func TestWhatIsWrongWithACallAboutLetters(t *testing.T) {
	_, c := startLetters(t, "delivered")
	check := func(what string, err error, want connect.Code, says string) {
		t.Helper()
		if connect.CodeOf(err) != want || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := c.Get(t.Context(), connect.NewRequest(&weftv1.DeadLettersGetRequest{Id: 9}))
	check("an unknown letter", err, connect.CodeNotFound, "no such dead letter")
	_, err = c.List(t.Context(), connect.NewRequest(&weftv1.DeadLettersListRequest{PageSize: 5000}))
	check("a large page", err, connect.CodeInvalidArgument, "at most 1000")
	_, err = c.List(t.Context(), connect.NewRequest(&weftv1.DeadLettersListRequest{PageToken: "x"}))
	check("a page token", err, connect.CodeInvalidArgument, "page token")
	_, err = c.List(t.Context(), connect.NewRequest(&weftv1.DeadLettersListRequest{Filter: &weftv1.DeadLetterFilter{Topic: "a/#/b"}}))
	check("a pattern", err, connect.CodeInvalidArgument, "pattern")
	_, err = c.Purge(t.Context(), connect.NewRequest(&weftv1.DeadLettersPurgeRequest{}))
	check("a purge of everything by mistake", err, connect.CodeInvalidArgument, "set all to true")
	_, err = c.Delete(t.Context(), connect.NewRequest(&weftv1.DeadLettersDeleteRequest{}))
	check("deleting nothing", err, connect.CodeInvalidArgument, "at least one id")
	for what, r := range map[string]*weftv1.DeadLettersReplayRequest{
		"neither ids nor a filter": {},
		"ids and a filter":         {Ids: []uint64{1}, Filter: &weftv1.DeadLetterFilter{}},
		"no topic":                 {Ids: []uint64{1}, Way: weftv1.ReplayWay_REPLAY_WAY_TOPIC},
		"a topic too many":         {Ids: []uint64{1}, Topic: "x"},
		"a rate":                   {Ids: []uint64{1}, Rate: 20000},
		"a way":                    {Ids: []uint64{1}, Way: 9},
	} {
		_, err := replay(t, c, r)
		check(what, err, connect.CodeInvalidArgument, "")
	}
	if p, err := c.Purge(t.Context(), connect.NewRequest(&weftv1.DeadLettersPurgeRequest{All: true})); err != nil || p.Msg.Deleted != 1 {
		t.Errorf("a purge: %v, %v", p, err)
	}
}

// Where nothing is kept, the calls say so; plain HTTP with JSON works too.
func TestNoLettersAreKept(t *testing.T) {
	r := start(t, func(o *admin.Options) { o.DeadLetters = &fakeLetters{} })
	answer, err := client(t, false).Post(r.url+"/weft.v1.DeadLetters/List", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusBadRequest { // failed precondition
		t.Errorf("the status is %s", answer.Status)
	}
}
