package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// getRequest asks for messages without a consumer; JetStream calls it direct get.
type getRequest struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Next      string     `json:"next_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
	Newest    []string   `json:"multi_last,omitempty"`
}

// message is one of the answers.
type message struct {
	seq     uint64
	time    time.Time
	subject string
	header  nats.Header
	data    []byte
}

// What the answers' headers are called, and the statuses that end them.
const (
	headerSeq     = "Nats-Sequence"
	headerTime    = "Nats-Time-Stamp"
	headerSubject = "Nats-Subject"
	headerBefore  = "Nats-Last-Sequence"
	headerStatus  = "Status"
	statusEnd     = "204"
	statusNone    = "404"
)

var errTorn = errors.New("an answer of the backbone is missing")

// get returns the messages; whole tells whether nothing that was asked for is left.
func (l *Log) get(ctx context.Context, r getRequest) (list []message, whole bool, err error) {
	request, err := json.Marshal(r)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answersIn)
	defer cancel()
	inbox := l.b.conn.NewInbox()
	sub, err := l.b.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, false, known(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it fails with the connection, which others report
	if err := l.b.conn.PublishRequest("$JS.API.DIRECT.GET."+l.name, inbox, request); err != nil {
		return nil, false, known(err)
	}
	before := uint64(0)
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return list, false, known(err)
		}
		if status := m.Header.Get(headerStatus); status != "" {
			switch status {
			case statusEnd:
				if last := m.Header.Get(headerBefore); last != "" && last != strconv.FormatUint(before, 10) {
					return nil, false, errTorn
				}
				return list, m.Header.Get("Nats-Num-Pending") == "0", nil
			case statusNone:
				return list, true, nil
			case "503":
				return nil, false, fmt.Errorf("%w: no server has the log", ErrAway)
			}
			return nil, false, fmt.Errorf("the backbone answers %s %s", status, m.Header.Get("Description"))
		}
		g, last, err := parseMessage(m)
		if err != nil {
			return nil, false, err
		}
		if last != before {
			return nil, false, errTorn
		}
		before = g.seq
		list = append(list, g)
	}
}

func parseMessage(m *nats.Msg) (g message, before uint64, err error) {
	if g.seq, err = strconv.ParseUint(m.Header.Get(headerSeq), 10, 64); err != nil {
		return g, 0, fmt.Errorf("the backbone's answer: %w", err)
	}
	if before, err = strconv.ParseUint(m.Header.Get(headerBefore), 10, 64); err != nil {
		return g, 0, fmt.Errorf("the backbone's answer: %w", err)
	}
	if g.time, err = time.Parse(time.RFC3339Nano, m.Header.Get(headerTime)); err != nil {
		return g, 0, fmt.Errorf("the backbone's answer: %w", err)
	}
	g.subject, g.header, g.data = m.Header.Get(headerSubject), m.Header, m.Data
	return g, before, nil
}

// newest returns the sequence of each node's newest message, by subject.
func (l *Log) newest(ctx context.Context) (map[string]uint64, error) {
	list, _, err := l.get(ctx, getRequest{Newest: []string{l.subjects}})
	if err != nil {
		return nil, err
	}
	newest := make(map[string]uint64, len(list))
	for _, m := range list {
		newest[m.subject] = m.seq
	}
	return newest, nil
}

// get1 returns one message; jetstream.ErrMsgNotFound if it is not there.
func (l *Log) get1(ctx context.Context, seq uint64) (message, error) {
	s, err := l.stream.get(ctx)
	if err != nil {
		return message{}, err
	}
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return message{}, err
	}
	if err != nil {
		return message{}, known(err)
	}
	return message{seq: m.Sequence, time: m.Time, subject: m.Subject, data: m.Data}, nil
}
