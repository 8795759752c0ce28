package config

import "github.com/weftrun/weft/abi"

// Durable makes a route's messages outlive crashes: each one is written to the
// route's log before its sender gets its acknowledgement, and is taken from there
// to the route's destinations until it has arrived.
type Durable struct {
	// ID is a template: of messages for which it gives the same text within Window
	// only the first is kept. Empty, or a placeholder without a value: none is
	// taken for another. For example "{message_id}".
	ID string `koanf:"id" yaml:"id"`
	// Window is how long an ID is remembered.
	Window Duration `koanf:"window" yaml:"window" default:"2m" min:"1s" max:"24h"`
	// Delay is the attribute that says how long a message waits in the log before
	// it is delivered, as a duration ("30s") or in seconds.
	Delay string `koanf:"delay" yaml:"delay" default:"delay"`
	// Size, Messages and Age bound the log; 0 is no bound of that kind.
	Size     Size     `koanf:"size" yaml:"size" default:"1GiB" min:"0B" max:"1PiB"`
	Messages int      `koanf:"messages" yaml:"messages" default:"0" min:"0" max:"1000000000000"`
	Age      Duration `koanf:"age" yaml:"age" default:"168h" min:"0s" max:"87600h"`
	// WhenFull refuses new messages, which their senders are told, or drops the
	// oldest, which is counted.
	WhenFull string `koanf:"when_full" yaml:"when_full" default:"refuse" enum:"refuse,drop_oldest"`
	// Keep is delivered if messages leave the log when they have arrived, all if
	// they stay as long as the bounds allow, so that they can be replayed.
	Keep string `koanf:"keep" yaml:"keep" default:"all" enum:"all,delivered"`
	// From is where a destination begins that takes each message once in the cluster
	// and is new to a log which is there already: with what comes from now on, or with
	// the oldest message that the log has.
	From string `koanf:"from" yaml:"from" default:"now" enum:"now,beginning"`
	// Gone is after how long without a sign of life a node counts as gone for good: what
	// it had not read does not hold the log any longer. 0 is never.
	Gone Duration `koanf:"gone" yaml:"gone" default:"72h" min:"0s" max:"8760h"`
	// Tries is how often a message is offered to destinations that do not take it,
	// before it becomes a dead letter.
	Tries int `koanf:"tries" yaml:"tries" default:"10" min:"1" max:"1000"`
	// Backoff is how long it waits between two tries, doubling from First to Most.
	Backoff Backoff `koanf:"backoff" yaml:"backoff"`
}

// Backoff is a wait that doubles. A random part of it, up to half, is left out.
type Backoff struct {
	First Duration `koanf:"first" yaml:"first" default:"1s" min:"1ms" max:"24h"`
	Most  Duration `koanf:"most" yaml:"most" default:"1m" min:"1ms" max:"24h"`
}

// The values of Durable.WhenFull, Durable.Keep and Durable.From.
const (
	WhenFullRefuse = "refuse"
	WhenFullOldest = "drop_oldest"
	KeepAll        = "all"
	KeepDelivered  = "delivered"
	FromNow        = "now"
	FromBeginning  = "beginning"
)

func (k *checker) durable(path string, d *Durable) {
	if d == nil {
		return
	}
	k.template(join(path, "id"), d.ID)
	if d.Size == 0 && d.Messages == 0 && d.Age == 0 {
		k.add(join(path, "size"), Problem{Cause: "out of range", Value: "0", Expected: "a bound: size, messages or age", Fix: "remove the keys for 1GiB and a week"})
	}
	if d.Backoff.First > d.Backoff.Most {
		k.add(join(path, "backoff.first"), Problem{Cause: "out of range", Value: d.Backoff.First.String(), Expected: "at most backoff.most, which is " + d.Backoff.Most.String()})
	}
	if len(d.Delay) > abi.MaxAttribute {
		k.add(join(path, "delay"), Problem{Cause: "not an attribute's name", Value: show(d.Delay), Expected: "a shorter one"})
	}
}
