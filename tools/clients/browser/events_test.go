package browser

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A page of an origin that the configuration names subscribes by EventSource,
// publishes, and answers a request; one of another origin does none of it.
func TestEvents(t *testing.T) {
	s := newSite(t)
	at := weft(t, fmt.Sprintf(`
listeners: [{name: line, address: "127.0.0.1:0", frame: line}]
api: {address: "127.0.0.1:0", cors: ["%s"]}
`, s.origin()))
	parameters := map[string]string{"api": "http://" + at["api"]}
	s.open("127.0.0.1", "events.html", parameters)
	before := messagesIn(t, at["api"])
	s.open("localhost", "events-stranger.html", parameters)
	if after := messagesIn(t, at["api"]); after != before || before == "" {
		t.Errorf("a page of another origin has published: %q, then %q", before, after)
	}
}

// messagesIn is the line of the metrics that counts what has come in.
func messagesIn(t *testing.T, api string) string {
	t.Helper()
	answer, err := http.Get("http://" + api + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "weft_messages_in_total ") {
			return line
		}
	}
	return ""
}
