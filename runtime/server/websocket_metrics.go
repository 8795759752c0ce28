package server

import (
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/weftrun/weft/runtime/admin"
	"github.com/weftrun/weft/runtime/websocket"
)

// webCounts is what a loop counts about one listener's WebSockets, in plain
// variables.
type webCounts struct {
	accepted     uint64
	refused      [webStatuses]uint64
	pings, pongs uint64 // of peers
	sent         uint64 // pings of weft's own
	closedByPeer codeCounts
	closedByWeft codeCounts
	published    [4 + webStatuses + 2*webCodes]atomic.Uint64
	row          []uint64
}

const (
	webStatuses = 6
	webCodes    = 10
)

// codeCounts counts Close frames by index in websocket.Codes.
type codeCounts [webCodes]uint64

func (c *codeCounts) add(code websocket.Code) { c[max(slices.Index(webCodeList, code), 0)]++ }

var (
	webCodeList   = websocket.Codes()
	webStatusList = websocket.Statuses()
)

func (c *webCounts) refuse(status int) { c.refused[max(slices.Index(webStatusList, status), 0)]++ }

// flat is all counts in one row.
func (c *webCounts) flat(row []uint64) []uint64 {
	row = append(row, c.accepted, c.pings, c.pongs, c.sent)
	row = append(row, c.refused[:]...)
	row = append(row, c.closedByPeer[:]...)
	return append(row, c.closedByWeft[:]...)
}

// publish shows the counts to other goroutines, once a turn.
func (c *webCounts) publish() {
	if c == nil {
		return
	}
	c.row = c.flat(c.row[:0])
	for i, n := range c.row {
		show(&c.published[i], n)
	}
}

// webMetrics is what /metrics shows of WebSockets; nothing where there are none.
func (s *Server) webMetrics() []admin.Metric {
	upgrades := newFamily("weft_websocket_upgrades_total", "Requests for a WebSocket by the HTTP status of their answer; 101 is an upgrade.", admin.Counter, "listener", "status")
	closes := newFamily("weft_websocket_closes_total", "Close frames by who sent them first and their code.", admin.Counter, "listener", "by", "code")
	control := newFamily("weft_websocket_control_frames_total", "Pings and pongs: received, and pings that weft sent.", admin.Counter, "listener", "kind")
	for i, l := range s.setup().each {
		if l.web == nil {
			continue
		}
		row := make([]uint64, 4+webStatuses+2*webCodes)
		for _, p := range s.paths {
			for k := range row {
				if l := p.seen().lane(i); l != nil && l.web != nil {
					row[k] += l.web.published[k].Load()
				}
			}
		}
		upgrades.add(row[0], l.name, "101")
		control.add(row[1], l.name, "ping")
		control.add(row[2], l.name, "pong")
		control.add(row[3], l.name, "ping_sent")
		row = row[4:]
		for k, status := range webStatusList {
			upgrades.add(row[k], l.name, strconv.Itoa(status))
		}
		for k, code := range webCodeList {
			closes.add(row[webStatuses+k], l.name, "peer", code.String())
			closes.add(row[webStatuses+webCodes+k], l.name, "weft", code.String())
		}
	}
	if len(upgrades.Samples) == 0 {
		return nil
	}
	return []admin.Metric{upgrades.Metric, closes.Metric, control.Metric}
}
