package server

import (
	"reflect"
	"testing"

	"github.com/weftrun/weft/hostfuncs"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/runtime/router"
)

// TestGrantsAgree: the grants of a configuration mean what the same words mean in
// a case file, which hostfuncs.ParseGrants reads.
func TestGrantsAgree(t *testing.T) {
	const text = `plugins:
  p:
    file: "std:json-filter"
    grants:
      log: {rate: 5, burst: 20}
      metrics: {max: 8}
      clock: {}
      random: {rate: 64KiB}
      kv: {namespace: tokens, size: 2MiB, entries: 1000, ttl: 1h}
      http: {hosts: [api.example.org], concurrency: 3, deadline: 2s, request: 1KiB, response: 2KiB}
      publish: {topics: ["alarm/#"]}
      subscribe: {topics: ["truck/+/in/#", "queue:ops"]}
      filter: {sources: 7, longest: 5m, rate: 20/s}
      wasi: {}
`
	cfg, err := config.Load(config.Options{File: "weft.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	want, err := hostfuncs.ParseGrants(map[string]map[string]any{
		"log": {"rate": 5, "burst": 20}, "metrics": {"max": 8}, "clock": nil, "random": {"rate": "64KiB"}, "wasi": nil,
		"kv":        {"namespace": "tokens", "size": "2MiB", "entries": 1000, "ttl": "1h"},
		"http":      {"hosts": []string{"api.example.org"}, "concurrency": 3, "deadline": "2s", "request": "1KiB", "response": "2KiB"},
		"filter":    {"sources": 7, "longest": "5m", "rate": "20/s"},
		"publish":   {"topics": []string{"alarm/#"}},
		"subscribe": {"topics": []string{"truck/+/in/#", "queue:ops"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := grants("p", cfg.Plugins["p"].Grants)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the configuration grants %+v, a case file %+v", got, want)
	}
	for v, i := reflect.ValueOf(got), 0; i < v.NumField(); i++ {
		if v.Field(i).IsNil() {
			t.Errorf("%s is not among the grants that are compared", v.Type().Field(i).Name)
		}
	}
}

// TestGrantedTopicsAreTheRouters: a grant matches the topics that a subscription of
// the same pattern gets.
func TestGrantedTopicsAreTheRouters(t *testing.T) {
	levels := []string{"a", "b", "$a", "", "+", "*", "#"}
	texts := []string{}
	for _, one := range levels {
		texts = append(texts, one)
		for _, two := range levels {
			texts = append(texts, one+"/"+two)
			for _, three := range levels {
				texts = append(texts, one+"/"+two+"/"+three)
			}
		}
	}
	compared := 0
	for _, pattern := range texts {
		set, err := hostfuncs.CompileTopics([]string{pattern})
		if refused := router.ValidatePattern(pattern); (refused == nil) != (err == nil) {
			t.Errorf("pattern %q: the router says %v, a grant %v", pattern, refused, err)
		}
		if err != nil {
			continue
		}
		for _, topic := range texts {
			if router.ValidateTopic([]byte(topic)) != nil {
				continue
			}
			compared++
			if got, want := set.Match([]byte(topic)), router.Matches(pattern, topic); got != want {
				t.Errorf("pattern %q, topic %q: the router says %t, a grant %t", pattern, topic, want, got)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d pairs were compared", compared)
	}
}
