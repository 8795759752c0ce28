package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// poster is a source that publishes by HTTP, one message at a time, and sends again
// what was not accepted.
type poster struct {
	*crowd
	source *source
	apis   []string // base URLs
	random *rand.Rand
	client *http.Client
}

func (l *crowd) poster(s *source, apis []string) *poster {
	return &poster{crowd: l, source: s, apis: apis, random: rand.New(rand.NewPCG(l.random.Uint64(), uint64(s.number))), client: &http.Client{Timeout: answerWithin}}
}

// run publishes until produce ends; what it has begun it goes on trying until ctx
// ends.
func (p *poster) run(ctx, produce context.Context) error {
	defer p.client.CloseIdleConnections()
	for produce.Err() == nil {
		m := p.source.next()
		for try := 0; ctx.Err() == nil; try++ {
			if try > 0 {
				p.source.again(1)
			}
			accepted, err := p.post(ctx, m, try)
			if accepted {
				p.source.accepted(m.seq)
				p.pace.acknowledged(time.Since(m.time))
				break
			}
			if err == nil {
				p.source.denied()
			}
			wait(ctx, 10*time.Millisecond+time.Duration(p.random.Int64N(int64(90*time.Millisecond))))
		}
	}
	return nil
}

// post tells whether weft has taken the message over. No error and not accepted:
// it says that it has not.
func (p *poster) post(ctx context.Context, m stamp, try int) (accepted bool, err error) {
	url := fmt.Sprintf("%s/v1/publish/%s/%d", p.apis[(int(m.source)+try)%len(p.apis)], p.topic, m.source)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(m.append(nil, p.size)))
	if err != nil {
		return false, err
	}
	request.Header.Set("Weft-Attr-message_id", m.id())
	request.Header.Set("Weft-Qos", "1")
	answer, err := p.client.Do(shown(request))
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	var told struct {
		Accepted bool `json:"accepted"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&told); err != nil {
		return false, err
	}
	return answer.StatusCode == http.StatusOK && told.Accepted, nil
}
