package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Mode is how a run paces its messages.
type Mode string

// The modes.
const (
	// Open sends Rate messages a second, come what may. Latency counts from the
	// time at which a message was due.
	Open Mode = "open"
	// Closed sends as fast as at most Window undelivered messages allow.
	Closed Mode = "closed"
	// Request sends one message on each publisher's connection and waits for
	// its answer there before the next. With a Rate latency counts from the
	// time at which the request was due.
	Request Mode = "request"
)

// ErrConfig is wrapped by every error about a run's configuration.
var ErrConfig = errors.New("bad load configuration")

// Limits of a run, given by the width of the stamp's fields.
const (
	MaxPublishers = 1 << 14
	MaxTopics     = 1 << 14
)

// Config describes one run. The zero value of every field but Address, Protocol
// and either Duration or Count has a meaning.
type Config struct {
	// Address is the server's host:port.
	Address  string
	Protocol Protocol
	// TLS is below the protocol; nil: none. It names the server.
	TLS *tls.Config
	// Mode is Closed where it is empty.
	Mode Mode
	// Rate is messages a second over all publishers. Open needs it.
	Rate float64
	// Window is how many deliveries may be in flight in Closed mode: a message
	// with three subscribers counts three times. Default 10,000.
	Window int
	// Publishers is the number of publishing connections. Default 1.
	Publishers int
	// Subscribers is the number of subscribing connections; 0 only sends.
	// Request mode has none.
	Subscribers int
	// Topics are used in turn by each publisher. Default: one topic, "bench".
	// Formats without a topic field ignore the names. Each is a Template.
	Topics []string
	// Subscribe lists the patterns of each subscriber: entry i modulo the
	// length is that of subscriber i. Default: all Topics for each, with + for a
	// level that differs between messages.
	Subscribe [][]string
	// Streams is how many streams must reach their subscribers before sending begins, each
	// counted once for every subscriber; a stream is one publisher's messages on one topic.
	// 0: what has come by then are all of them.
	Streams int
	// Base is the number of the first publisher, of Of that several runs have
	// together: messages of the others' publishers are told apart. Of 0: this run has
	// all. FirstSubscriber is the number of the first subscriber.
	Base, Of, FirstSubscriber int
	// Steps are rates to pass through, each for a time, in Open mode, instead of Rate
	// and Duration.
	Steps []Step
	// Checks say what answers and deliveries must be like.
	Checks *Checks
	// Width is how long an interval of Result.Series is; 0 is chosen.
	Width time.Duration
	// Gate is called when everything is connected, and sending begins when it returns
	// nil; nil: at once.
	Gate func(ctx context.Context) error
	// Payload says what messages carry.
	Payload Payload
	// Warmup precedes the measurement. Its messages count for losses and order
	// but not for rates and latencies.
	Warmup time.Duration
	// Duration is how long to send after the warm-up; 0 with a Count.
	Duration time.Duration
	// Count ends the run after so many messages over all publishers; 0 with a
	// Duration. With both, whichever comes first. A warm-up's messages count.
	Count uint64
	// Drain is how long to wait for messages still missing, counted from the
	// last one that came. Default 5 s.
	Drain time.Duration
	// Timeout bounds connecting, the handshake and the first delivery to every
	// subscriber, and in Request mode each answer. Default 10 s.
	Timeout time.Duration
	// Sample gives every Sample-th message a time of its own. Default: every
	// message up to 200,000 a second in Open mode, else every 64th.
	Sample int
	// WriteSize is how many bytes a publisher writes at a time at most.
	// Default 64 KiB.
	WriteSize int
	// ServerPID is the server's process, sampled for its CPU time; 0 for none.
	ServerPID int
	// Progress gets one line a second; nil for none. Hand in os.Stderr only if
	// Terminal(os.Stderr) says so.
	Progress io.Writer
}

// Partition deals topics out to n subscribers in turn, so that each message has
// one subscriber. The result fits Config.Subscribe.
func Partition(topics []string, n int) [][]string {
	parts := make([][]string, n)
	for i, t := range topics {
		parts[i%n] = append(parts[i%n], t)
	}
	return parts
}

// Series is n topics made of a pattern in which {n} stands for 0 to n-1.
func Series(pattern string, n int) []string {
	topics := make([]string, n)
	for i := range topics {
		topics[i] = expand(pattern, map[string]string{"n": fmt.Sprint(i)})
	}
	return topics
}

// withDefaults fills in what was left at zero and refuses what cannot run.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Mode, Closed)
	if c.Of == 0 {
		c.Of = c.Base + c.Publishers
		setDefault(&c.Of, 1)
	}
	if len(c.Steps) > 0 && c.Mode == Open && c.Rate == 0 && c.Duration == 0 {
		c.Rate = c.Steps[0].From
		for _, s := range c.Steps {
			c.Duration += s.For
			c.Rate = max(c.Rate, s.From, s.To)
		}
	}
	setDefault(&c.Window, 10_000)
	setDefault(&c.Publishers, 1)
	setDefault(&c.Drain, 5*time.Second)
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.WriteSize, 64<<10)
	if len(c.Topics) == 0 {
		c.Topics = []string{"bench"}
	}
	if len(c.Subscribe) == 0 {
		patterns := make([]string, len(c.Topics))
		for n, topic := range c.Topics {
			patterns[n] = (&Template{text: topic}).wildcards(n)
		}
		c.Subscribe = [][]string{patterns}
	}
	if c.Sample == 0 {
		c.Sample = 64
		if c.Mode == Open && c.Rate <= 200_000 {
			c.Sample = 1
		}
	}
	return c, c.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
	}
	switch {
	case c.Address == "":
		return bad("no address")
	case c.Protocol == nil:
		return bad("no protocol")
	case c.Mode != Open && c.Mode != Closed && c.Mode != Request:
		return bad("mode %q: expected open, closed or request", c.Mode)
	case c.Rate < 0:
		return bad("rate %g: expected messages a second", c.Rate)
	case c.Mode == Open && c.Rate == 0:
		return bad("open mode needs a rate")
	case c.Mode == Closed && c.Rate > 0:
		return bad("a rate belongs to open mode, not to closed")
	case c.Count == 0 && c.Duration <= 0:
		return bad("neither a duration nor a count says when to stop")
	case c.Mode == Request && c.Subscribers > 0:
		return bad("request mode has no subscribers: answers come back on the publisher's connection")
	case c.Mode != Request && c.Payload.Template != "" && !strings.Contains(c.Payload.Template, "{stamp}"):
		return bad("the payload template %.60q has no {stamp}, by which a message is recognised", c.Payload.Template)
	case c.Mode != Request && c.stampless():
		return bad("%s carries nothing by which a delivery is recognised: only request mode measures it", c.Protocol.Name())
	case len(c.Steps) > 0 && c.Mode != Open:
		return bad("steps of rates belong to open mode")
	case c.Publishers < 1 || c.Publishers > MaxPublishers:
		return bad("%d publishers: expected 1 to %d", c.Publishers, MaxPublishers)
	case c.Base < 0 || c.Base+c.Publishers > c.Of || c.Of > MaxPublishers:
		return bad("publishers %d to %d of %d, and at most %d", c.Base, c.Base+c.Publishers-1, c.Of, MaxPublishers)
	case c.Streams < 0:
		return bad("%d streams", c.Streams)
	case c.Subscribers < 0:
		return bad("%d subscribers", c.Subscribers)
	case len(c.Topics) > MaxTopics:
		return bad("%d topics: at most %d", len(c.Topics), MaxTopics)
	case c.Window < 1 || c.Sample < 1 || c.WriteSize < 1:
		return bad("window %d, sample %d, write size %d: each must be at least 1", c.Window, c.Sample, c.WriteSize)
	case c.Warmup < 0 || c.Drain < 0 || c.Timeout < 0 || c.Duration < 0:
		return bad("a negative time")
	}
	return validSteps(c.Steps)
}

// stampless tells whether messages have no room for a stamp.
func (c *Config) stampless() bool {
	s, ok := c.Protocol.(stampless)
	return ok && s.Stampless()
}
