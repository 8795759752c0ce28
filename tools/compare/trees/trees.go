package main

import (
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/gsl"

	"github.com/weftrun/weft/runtime/router"
)

// tree is one of what is compared.
type tree interface {
	// add and remove are the subscription of client i, which has one alone.
	add(i int, pattern string)
	remove(i int, pattern string)
	// match asks for everybody who is to get a message and counts them if it can.
	match(topic []byte) int
}

type candidate struct {
	name string
	// spelt turns an MQTT pattern or topic into the tree's own spelling.
	spelt func(string) string
	make  func() tree
}

var candidates = []candidate{
	{"weft", same, func() tree { return &weft{trie: router.NewTrie[router.Subscriber]()} }},
	{"weft, cached", same, func() tree {
		trie := router.NewTrie[router.Subscriber]()
		cache := router.NewCache(trie, nil, router.CacheLimits{})
		cache.OrderBy(router.BySession)
		return &cachedWeft{weft{trie: trie}, cache}
	}},
	{"mochi", same, func() tree { return mochiTree{mochi.NewTopicsIndex()} }},
	{"NATS gsl", subject, func() tree { return gslTree{gsl.NewSublist[router.Subscriber]()} }},
	{"NATS Sublist", subject, func() tree { return newSublist(server.NewSublistNoCache()) }},
	{"NATS Sublist, cached", subject, func() tree { return newSublist(server.NewSublistWithCache()) }},
}

func names() string {
	var list []string
	for _, c := range candidates {
		list = append(list, strconv.Quote(c.name))
	}
	return strings.Join(list, ", ")
}

func same(text string) string { return text }

// subject is NATS's spelling: dots, * for one level, > for the rest.
func subject(text string) string {
	return strings.NewReplacer("/", ".", "+", "*", "#", ">").Replace(text)
}

type weft struct {
	trie  *router.Trie[router.Subscriber]
	found []router.Subscriber
}

func (w *weft) add(i int, pattern string) {
	if _, err := w.trie.Add(pattern, router.Subscriber{Session: uint64(i + 1)}); err != nil {
		panic(err)
	}
}

func (w *weft) remove(i int, pattern string) {
	w.trie.Remove(pattern, router.Subscriber{Session: uint64(i + 1)})
}

func (w *weft) match(topic []byte) int {
	w.found = w.trie.Match(topic, w.found[:0])
	return len(w.found)
}

type cachedWeft struct {
	weft
	cache *router.Cache[router.Subscriber]
}

func (w *cachedWeft) match(topic []byte) int { return len(w.cache.Lookup(topic).Subscribers) }

type mochiTree struct{ index *mochi.TopicsIndex }

func (m mochiTree) add(i int, pattern string) {
	m.index.Subscribe(strconv.Itoa(i), packets.Subscription{Filter: pattern})
}

func (m mochiTree) remove(i int, pattern string) { m.index.Unsubscribe(pattern, strconv.Itoa(i)) }

// match hands over a string, as mochi's server has one.
func (m mochiTree) match(topic []byte) int {
	return len(m.index.Subscribers(unsafe.String(&topic[0], len(topic))).Subscriptions)
}

type gslTree struct {
	list *gsl.GenericSublist[router.Subscriber]
}

func (g gslTree) add(i int, subject string) {
	if err := g.list.Insert(subject, router.Subscriber{Session: uint64(i + 1)}); err != nil {
		panic(err)
	}
}

func (g gslTree) remove(i int, subject string) {
	if err := g.list.Remove(subject, router.Subscriber{Session: uint64(i + 1)}); err != nil {
		panic(err)
	}
}

func (g gslTree) match(topic []byte) int {
	n := 0
	g.list.MatchBytes(topic, func(router.Subscriber) { n++ })
	return n
}

// sublist is the tree of NATS's clients. Its subscriptions are of a type that only
// its own package can name: they are made, and go in and out, by reflection, which
// is in the figures of add and remove.
type sublist struct {
	list           *server.Sublist
	insert, delete reflect.Value
	subscriptions  map[int]reflect.Value
}

func newSublist(list *server.Sublist) *sublist {
	v := reflect.ValueOf(list)
	return &sublist{list, v.MethodByName("Insert"), v.MethodByName("Remove"), map[int]reflect.Value{}}
}

func (s *sublist) add(i int, subject string) {
	one := reflect.New(s.insert.Type().In(0).Elem())
	field := one.Elem().FieldByName("subject")
	*(*[]byte)(unsafe.Pointer(field.UnsafeAddr())) = []byte(subject)
	s.subscriptions[i] = one
	fail(s.insert.Call([]reflect.Value{one}))
}

func (s *sublist) remove(i int, _ string) {
	fail(s.delete.Call([]reflect.Value{s.subscriptions[i]}))
	delete(s.subscriptions, i)
}

func fail(results []reflect.Value) {
	if err, _ := results[0].Interface().(error); err != nil {
		panic(err)
	}
}

// match does not count: the result's fields are private.
func (s *sublist) match(topic []byte) int {
	s.list.MatchBytes(topic)
	return -1
}

// count is match and counts, by reflection.
func (s *sublist) count(topic []byte) int {
	return reflect.ValueOf(s.list.MatchBytes(topic)).Elem().FieldByName("psubs").Len()
}
