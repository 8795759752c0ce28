package config

import (
	"fmt"
	"strings"
)

// maxTopics is how many patterns one grant may list.
const maxTopics = 256

// grants checks the scopes of a plugin's grants.
func (k *checker) grants(path string, g Grants) {
	if kv := g.KV; kv != nil {
		if kv.Namespace != "" {
			k.name(join(path, "kv.namespace"), kv.Namespace)
		}
		k.oneScope(join(path, "kv.scope"), kv)
		if kv.TTL < 0 || kv.TTL > 0 && kv.TTL.Std().Milliseconds() == 0 {
			k.add(join(path, "kv.ttl"), Problem{Cause: "out of range", Value: kv.TTL.String(), Expected: "at least 1ms, or 0s for no bound"})
		}
	}
	if g.Publish != nil {
		k.topics(join(path, "publish.topics"), g.Publish.Topics, "")
	}
	if g.Subscribe != nil {
		k.topics(join(path, "subscribe.topics"), g.Subscribe.Topics, "queue:")
	}
}

// oneScope checks that a namespace means the same keys to all plugins that name it.
func (k *checker) oneScope(path string, kv *KVGrant) {
	if kv.Scope != ScopeProcess || kv.Namespace == "" {
		return
	}
	for _, name := range sortedKeys(k.c.Plugins) {
		other := k.c.Plugins[name].Grants.KV
		if other != nil && other.Scope == ScopeCluster && other.Namespace == kv.Namespace {
			k.add(path, Problem{Cause: "different scopes of one namespace", Value: show(kv.Scope), Found: "cluster for plugin " + name,
				Fix: "write scope: cluster, or another namespace"})
			return
		}
	}
}

// topics checks a list of patterns without placeholders. What follows the prefix
// is a pattern as well.
func (k *checker) topics(path string, list []string, prefix string) {
	switch {
	case len(list) == 0:
		k.add(path, Problem{Cause: "missing value", Expected: "the patterns that are allowed, such as [alarm/#]", Fix: `write ["#"] for every topic`})
	case len(list) > maxTopics:
		k.add(path, Problem{Cause: "out of range", Value: fmt.Sprint(len(list)), Expected: fmt.Sprintf("at most %d patterns", maxTopics), Fix: "use wildcards"})
	}
	for i, pattern := range list {
		at := fmt.Sprintf("%s.%d", path, i)
		if strings.ContainsAny(pattern, "{}") {
			k.add(at, Problem{Cause: "not a pattern", Value: show(pattern), Found: "a placeholder", Expected: "plain levels and wildcards",
				Fix: "write + where one level varies: a grant holds for every session"})
			continue
		}
		k.pattern(at, strings.TrimPrefix(pattern, prefix))
	}
}
