package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weftrun/weft/runtime/admin/weftv1"
)

// topView is what weft top shows. lines makes a picture of it, without a terminal.
type topView struct {
	snapshot    *weftv1.Snapshot
	connections *weftv1.ConnectionsListResponse
	sort, order string
	held        bool
	colour      bool
	width       int // 0: as wide as it gets
}

// topSorts are what plugins can be ordered by; topKeys the keys that do it.
var (
	topSorts = []string{"cost", "rate", "p99", "fuel", "drops", "name"}
	topKeys  = map[byte]string{'c': "cost", 'r': "rate", 'p': "p99", 'f': "fuel", 'd': "drops", 'n': "name"}
)

// key does what a key asks for, and tells whether it is the end.
func (v *topView) key(k byte) (end bool) {
	const ctrlC, ctrlD = 3, 4
	switch {
	case k == 'q' || k == 'Q' || k == ctrlC || k == ctrlD:
		return true
	case k == ' ':
		v.held = !v.held
	case k == 'o':
		v.order = topOrders[(slices.Index(topOrders, v.order)+1)%len(topOrders)]
	case topKeys[k] != "":
		v.sort = topKeys[k]
	}
	return false
}

// lines is the whole picture.
func (v *topView) lines() []string {
	s := v.snapshot
	if s == nil {
		return []string{"asking weft ..."}
	}
	out := append(v.head(s), "")
	out = append(out, v.table("PLUGINS by "+v.sort, []string{"PLUGIN", "AT", "GEN", "STATE", "COST", "RATE", "P99", "FUEL", "DROPS"}, v.plugins(s))...)
	out = append(out, v.table("LISTENERS", []string{"LISTENER", "PROTOCOL", "ADDRESS", "STATE", "OPEN", "RATE"}, v.listeners(s))...)
	out = append(out, v.table("DESTINATIONS", []string{"TO", "STATE", "RATE", "DROPPED", "P99"}, v.destinations(s))...)
	if c := v.connections; c != nil {
		title := fmt.Sprintf("CONNECTIONS by %s, %d of %d", v.order, len(c.GetConnections()), c.GetAll())
		out = append(out, v.table(title, []string{"ID", "LISTENER", "REMOTE", "WHO", "IN", "OUT", "QUEUED", "SILENT"}, v.connected(s))...)
	}
	return out
}

// The colours, by how bad it is.
const (
	inBold   = "1"
	inGreen  = "32"
	inYellow = "33"
	inRed    = "31"
)

// paintText colours a text, where there are colours. It never says anything by colour alone.
func (v *topView) paintText(text, colour string) string {
	if !v.colour || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// fit cuts a text to the width.
func (v *topView) fit(text string) string {
	if v.width <= 0 || utf8.RuneCountInString(text) <= v.width {
		return text
	}
	return string([]rune(text)[:max(v.width-1, 0)]) + "~"
}

func levelWord(l weftv1.Level) (word, colour string) {
	switch l {
	case weftv1.Level_LEVEL_BAD:
		return "BAD", inRed
	case weftv1.Level_LEVEL_WARN:
		return "WARN", inYellow
	}
	return "OK", inGreen
}

func (v *topView) head(s *weftv1.Snapshot) []string {
	i, g := s.GetInstance(), s.GetSignals()
	full, l := g.GetSaturation(), g.GetLatency()
	held := ""
	if v.held {
		held = "  HELD"
	}
	word, colour := levelWord(s.GetVerdict().GetLevel())
	out := []string{
		v.paintText(v.fit(fmt.Sprintf("weft %s  %s  %s  up %s%s", i.GetVersion(), i.GetNode(), i.GetState(), lasted(i.GetUptime().AsDuration()), held)), inBold),
		v.paintText(v.fit(word+"  "+s.GetVerdict().GetSentence()), colour),
	}
	for k, f := range s.GetVerdict().GetFindings() {
		if k >= 5 {
			break
		}
		word, _ := levelWord(f.GetLevel())
		out = append(out, v.fit(fmt.Sprintf("  %-4s %s: %s", word, f.GetText(), f.GetRemedy())))
	}
	took := "no message was timed"
	if l.GetCount() > 0 {
		took = fmt.Sprintf("p50 %s  p95 %s  p99 %s  max %s", short(l.GetP50().AsDuration()), short(l.GetP95().AsDuration()), short(l.GetP99().AsDuration()), short(l.GetMax().AsDuration()))
	}
	var loops []string
	for _, busy := range full.GetLoops() {
		loops = append(loops, fmt.Sprintf("%.0f%%", 100*busy))
	}
	connections := fmt.Sprintf("%d", full.GetConnections())
	if full.GetConnectionsLimit() > 0 {
		connections += fmt.Sprintf(" of %d", full.GetConnectionsLimit())
	}
	last := fmt.Sprintf("full      loops %s  connections %s  memory %s  queued %s", strings.Join(loops, " "), connections, bytesText(int64(full.GetMemoryBytes())), bytesText(int64(full.GetQueuedBytes())))
	if full.GetFullestLog() != "" {
		last += fmt.Sprintf("  log of %s %.0f%%", full.GetFullestLog(), 100*full.GetFullestLogShare())
	}
	return append(out, "",
		v.fit(fmt.Sprintf("messages  in %s  out %s  bytes in %s/s  out %s/s", rateText(g.GetInRate()), rateText(g.GetOutRate()), bytesText(int64(g.GetBytesInRate())), bytesText(int64(g.GetBytesOutRate())))),
		v.fit(fmt.Sprintf("errors    lost %s  dead %s  filtered %s  (%.2f%% of all)", rateText(g.GetLostRate()), rateText(g.GetDeadRate()), rateText(g.GetFilteredRate()), 100*g.GetErrorShare())),
		v.fit("took      "+took), v.fit(last))
}

// topRow is a row of a table, and its colour.
type topRow struct {
	cells  []string
	colour string
}

// table aligns rows under a head; a table without rows says so.
func (v *topView) table(title string, head []string, rows []topRow) []string {
	out := []string{v.paintText(v.fit(title), inBold)}
	if len(rows) == 0 {
		return append(out, "  none", "")
	}
	widths := make([]int, len(head))
	for _, cells := range append([][]string{head}, cellsOf(rows)...) {
		for k, cell := range cells {
			widths[k] = max(widths[k], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string) string {
		var b strings.Builder
		for k, cell := range cells {
			b.WriteString("  " + cell)
			if k < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[k]-utf8.RuneCountInString(cell)))
			}
		}
		return v.fit(b.String())
	}
	out = append(out, line(head))
	for _, r := range rows {
		out = append(out, v.paintText(line(r.cells), r.colour))
	}
	return append(out, "")
}

func cellsOf(rows []topRow) (list [][]string) {
	for _, r := range rows {
		list = append(list, r.cells)
	}
	return list
}

// stateWord is a node's state, and its colour.
func stateWord(n *weftv1.MapNode) (word, colour string) {
	switch n.GetState() {
	case weftv1.NodeState_NODE_STATE_IDLE:
		return "idle", ""
	case weftv1.NodeState_NODE_STATE_SLOW:
		return "SLOW", inYellow
	case weftv1.NodeState_NODE_STATE_TRAPPING:
		return "TRAPPING", inRed
	case weftv1.NodeState_NODE_STATE_BYPASSED:
		return "BYPASSED", inRed
	case weftv1.NodeState_NODE_STATE_OPEN_CIRCUIT:
		return "OPEN CIRCUIT", inYellow
	case weftv1.NodeState_NODE_STATE_DOWN:
		return "DOWN", inRed
	}
	return "ok", ""
}

func (v *topView) plugins(s *weftv1.Snapshot) (rows []topRow) {
	nodes := nodesOf(s, weftv1.MapNodeKind_MAP_NODE_KIND_PLUGIN)
	by := map[string]func(*weftv1.MapNode) float64{
		"cost": (*weftv1.MapNode).GetBusyShare, "rate": (*weftv1.MapNode).GetRate, "fuel": (*weftv1.MapNode).GetFuelShare, "drops": (*weftv1.MapNode).GetDropRate,
		"p99": func(n *weftv1.MapNode) float64 { return n.GetLatency().GetP99().AsDuration().Seconds() },
	}[v.sort]
	slices.SortStableFunc(nodes, func(a, b *weftv1.MapNode) int {
		if by == nil {
			return cmp.Compare(a.GetName(), b.GetName())
		}
		return cmp.Compare(by(b), by(a))
	})
	for _, n := range nodes {
		var generations []string
		for _, lane := range n.GetLanes() {
			text := fmt.Sprintf("%d", lane.GetGeneration())
			if lane.GetState() == weftv1.PluginState_PLUGIN_STATE_CANARY {
				text += fmt.Sprintf(" canary %.0f%%", 100*lane.GetObservedShare())
			} else if lane.GetState() == weftv1.PluginState_PLUGIN_STATE_SHADOW {
				text += fmt.Sprintf(" shadow %d differ", lane.GetDiffered())
			}
			generations = append(generations, text)
		}
		word, colour := stateWord(n)
		rows = append(rows, topRow{[]string{
			n.GetName(), strings.Replace(n.GetChain(), ":", " ", 1), strings.Join(generations, " + "), word, fmt.Sprintf("%.1f%%", 100*n.GetBusyShare()), rateText(n.GetRate()),
			orDash(short(n.GetLatency().GetP99().AsDuration())), fmt.Sprintf("%.0f%%", 100*n.GetFuelShare()), rateText(n.GetDropRate()),
		}, colour})
	}
	return rows
}

func (v *topView) listeners(s *weftv1.Snapshot) (rows []topRow) {
	for _, n := range nodesOf(s, weftv1.MapNodeKind_MAP_NODE_KIND_LISTENER, weftv1.MapNodeKind_MAP_NODE_KIND_API) {
		word, colour := stateWord(n)
		rows = append(rows, topRow{[]string{n.GetName(), n.GetProtocol(), n.GetAddress(), word, fmt.Sprint(n.GetConnections()), rateText(n.GetRate())}, colour})
	}
	return rows
}

func (v *topView) destinations(s *weftv1.Snapshot) (rows []topRow) {
	nodes := nodesOf(s, weftv1.MapNodeKind_MAP_NODE_KIND_DESTINATION, weftv1.MapNodeKind_MAP_NODE_KIND_UPSTREAM)
	slices.SortStableFunc(nodes, func(a, b *weftv1.MapNode) int {
		return cmp.Compare(b.GetRate()+b.GetDropRate(), a.GetRate()+a.GetDropRate())
	})
	for _, n := range nodes {
		name := n.GetName()
		if n.GetKind() == weftv1.MapNodeKind_MAP_NODE_KIND_UPSTREAM {
			name = fmt.Sprintf("upstream:%s (%d of %d up)", name, n.GetMembersUp(), n.GetMembers())
		}
		word, colour := stateWord(n)
		rows = append(rows, topRow{[]string{name, word, rateText(n.GetRate()), rateText(n.GetDropRate()), orDash(short(n.GetLatency().GetP99().AsDuration()))}, colour})
	}
	return rows
}

func (v *topView) connected(s *weftv1.Snapshot) (rows []topRow) {
	now := s.GetTime().AsTime()
	for _, c := range v.connections.GetConnections() {
		rows = append(rows, topRow{[]string{
			c.GetId(), c.GetListener(), c.GetRemote(), orDash(cmp.Or(c.GetClientId(), c.GetNode(), c.GetIdentity())), bytesText(int64(c.GetBytesIn())), bytesText(int64(c.GetBytesOut())),
			bytesText(int64(c.GetQueuedBytes())), lasted(now.Sub(c.GetHeard().AsTime())),
		}, ""})
	}
	return rows
}

func nodesOf(s *weftv1.Snapshot, kinds ...weftv1.MapNodeKind) (list []*weftv1.MapNode) {
	for _, n := range s.GetMap().GetNodes() {
		if slices.Contains(kinds, n.GetKind()) {
			list = append(list, n)
		}
	}
	return list
}

// rateText is a rate as people read it.
func rateText(rate float64) string {
	switch {
	case rate >= 1e6:
		return fmt.Sprintf("%.1fM/s", rate/1e6)
	case rate >= 1e4:
		return fmt.Sprintf("%.1fk/s", rate/1e3)
	case rate >= 10 || rate == 0:
		return fmt.Sprintf("%.0f/s", rate)
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// short is a duration in three digits; "" for none.
func short(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.1fus", float64(d)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.0fus", float64(d)/1e3)
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%.0fms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// printTop prints what a script reads.
func printTop(w io.Writer, s *weftv1.Snapshot, list *weftv1.ConnectionsListResponse) error {
	return json.NewEncoder(w).Encode(map[string]any{"snapshot": plainMessage(s.ProtoReflect()), "connections": plainMessage(list.ProtoReflect())})
}
