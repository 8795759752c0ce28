package upstream

import (
	"context"
	"fmt"
	"testing"
)

func BenchmarkPick(b *testing.B) {
	key := []byte("a key of a message")
	for balance := RoundRobin; balance <= ConsistentHash; balance++ {
		for _, n := range []int{5, 50, 500} {
			b.Run(fmt.Sprintf("%v/%d", balance, n), func(b *testing.B) {
				weights := make([]int, n)
				for i := range weights {
					weights[i] = 1 + i%7
				}
				p := newPool(b, Options{Balance: balance, Members: endpoints(n, weights...)})
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					key[0] = byte(i)
					if _, err := p.Pick(key, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDo(b *testing.B) {
	p := newPool(b, Options{Balance: LeastConn, Members: endpoints(5)})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Do(context.Background(), nil, func(context.Context, *Member) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
