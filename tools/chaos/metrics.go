package main

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
)

// metrics are weft's own figures by their name and labels, as /metrics gives them,
// of those whose name contains one of the words.
func (n *node) metrics(ctx context.Context, words ...string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.api+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(shown(request))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 || !strings.HasPrefix(lines.Text(), "weft_") {
			continue
		}
		name := lines.Text()[:at]
		for _, word := range words {
			if !strings.Contains(name, word) {
				continue
			}
			if value, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil {
				all[name] = value
			}
			break
		}
	}
	return all, nil
}
