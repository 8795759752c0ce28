package admin

import (
	"net/http"
	"strings"

	"github.com/weftrun/weft/runtime/admin/console"
	"github.com/weftrun/weft/runtime/admin/weftv1/weftv1connect"
)

// needs says what each call asks of its caller. What is not named here only an
// operator may do.
var needs = map[string]need{
	weftv1connect.MessagesPublishProcedure:   publish,
	weftv1connect.MessagesRequestProcedure:   publish,
	weftv1connect.MessagesSubscribeProcedure: subscribe,

	weftv1connect.BackboneGetProcedure:       inspect,
	weftv1connect.ClusterNodesProcedure:      inspect,
	weftv1connect.ConnectionsListProcedure:   inspect,
	weftv1connect.ConnectionsGetProcedure:    inspect,
	weftv1connect.DeadLettersListProcedure:   inspect,
	weftv1connect.DeadLettersGetProcedure:    inspect,
	weftv1connect.FastPathStatusProcedure:    inspect,
	weftv1connect.FastPathListProcedure:      inspect,
	weftv1connect.FastPathTopProcedure:       inspect,
	weftv1connect.ConfigGetProcedure:         inspect,
	weftv1connect.ListenersGetProcedure:      inspect,
	weftv1connect.ListenersListProcedure:     inspect,
	weftv1connect.LogsListProcedure:          inspect,
	weftv1connect.LogsReadProcedure:          inspect,
	weftv1connect.OverviewGetProcedure:       inspect,
	weftv1connect.OverviewWatchProcedure:     inspect,
	weftv1connect.PluginsListProcedure:       inspect,
	weftv1connect.PluginsLogsProcedure:       inspect,
	weftv1connect.RoutesExplainProcedure:     inspect,
	weftv1connect.RoutesListProcedure:        inspect,
	weftv1connect.SessionsGetProcedure:       inspect,
	weftv1connect.SessionsListProcedure:      inspect,
	weftv1connect.SubscriptionsListProcedure: inspect,
	weftv1connect.TrafficRecordProcedure:     inspect,
	weftv1connect.TrafficTailProcedure:       inspect,
	weftv1connect.UpstreamsListProcedure:     inspect,

	weftv1connect.ConfigCheckProcedure:       operate,
	weftv1connect.ConfigReloadProcedure:      operate,
	weftv1connect.ConnectionsCloseProcedure:  operate,
	weftv1connect.DeadLettersReplayProcedure: operate,
	weftv1connect.DeadLettersDeleteProcedure: operate,
	weftv1connect.DeadLettersPurgeProcedure:  operate,
	weftv1connect.FastPathBlockProcedure:     operate,
	weftv1connect.FastPathUnblockProcedure:   operate,
	weftv1connect.LifecycleDrainProcedure:    operate,
	weftv1connect.LogsReplayProcedure:        operate,
	weftv1connect.PluginsSwapProcedure:       operate,
	weftv1connect.PluginsSetWeightProcedure:  operate,
	weftv1connect.PluginsPromoteProcedure:    operate,
	weftv1connect.PluginsRollbackProcedure:   operate,
	weftv1connect.ProfilesTakeProcedure:      operate,
	weftv1connect.SessionsEndProcedure:       operate,
}

// needOf is what a request asks of its caller.
func needOf(r *http.Request) need {
	path := r.URL.Path
	if n, ok := needs[path]; ok {
		return n
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case path == "/healthz" || path == "/readyz":
		return nothing
	case strings.HasPrefix(path+"/", console.Prefix), reading && path == "/" && console.WantsPage(r):
		return nothing // a page without data, and the way to it
	case strings.HasPrefix(path, "/v1/publish/") || strings.HasPrefix(path, "/v1/request/"):
		return publish
	case path == "/v1/subscribe":
		return subscribe
	case strings.HasPrefix(path, "/grpc.reflection."), reading:
		return inspect
	}
	return operate
}
