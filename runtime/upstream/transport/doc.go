// Package transport takes messages to the members of an upstream pool: by HTTP, or by
// frames on TCP. A [Sender] is a pool's bounded queue and the goroutines that work it
// off; loops give it jobs without waiting and hear of each one's end.
//
//	loop -> Sender.Submit -> queue -> goroutine -> Pool.Do -> Transport.Send -> member
//	loop <-            Job.Done            <-
//
// It knows package upstream, the message model of package abi, and nothing else of
// weft: a frame format is whatever satisfies [Codec].
package transport
