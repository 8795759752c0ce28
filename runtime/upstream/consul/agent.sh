#!/bin/sh
# Builds a Consul agent for this package's tests from the Go module, which is not
# one of weft's: it takes minutes, and about 2 GB in Go's caches.
#
#   sh runtime/upstream/consul/agent.sh /tmp/consul
#   WEFT_TEST_CONSUL=/tmp/consul go test ./runtime/upstream/consul
set -eu
to=${1:?the file to write}
version=v1.20.6
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
go mod init agent >/dev/null 2>&1
go mod download "github.com/hashicorp/consul@$version"
from=$(go env GOMODCACHE)/github.com/hashicorp/consul@$version
# Consul's own versions of everything; its modules as they were published.
cp "$from/go.mod" "$from/go.sum" .
chmod u+w go.mod go.sum
go mod edit -module=agent -require="github.com/hashicorp/consul@$version"
for part in api envoyextensions proto-public sdk troubleshoot; do
	go mod edit -dropreplace="github.com/hashicorp/consul/$part"
done
printf '//go:build never\n\npackage agent\n\nimport _ "github.com/hashicorp/consul"\n' >agent.go
GOFLAGS=-mod=mod go build -o consul github.com/hashicorp/consul
mv consul "$to"
