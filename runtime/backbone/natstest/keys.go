package natstest

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PutKey writes a value into a key-value bucket, which it makes if there is none. It tries
// until the server takes it.
func (s *Server) PutKey(bucket, key, value string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startWithin)
	defer cancel()
	for {
		err := s.putKey(ctx, bucket, key, value)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s takes no key: %v", s.Name(), err)
		case <-time.After(pollEvery):
		}
	}
}

func (s *Server) putKey(ctx context.Context, bucket, key, value string) error {
	conn, err := nats.Connect(s.URL(), nats.UserInfo(s.options.User, s.options.Password))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket})
	if err == nil {
		_, err = kv.PutString(ctx, key, value)
	}
	return err
}
