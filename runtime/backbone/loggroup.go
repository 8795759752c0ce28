package backbone

import (
	"encoding/binary"
	"time"
)

// group is records on their way into the log, in order. One is open at the end of
// the queue and takes what comes while those before it are written: so a group is
// as large as the disk is slow, and an idle log writes a record at once.
type group struct {
	kind    groupKind
	data    []byte // a message, or kindOne's messages one after another
	records []appending
}

type groupKind uint8

const (
	packed  groupKind = iota // one message holds the group
	singles                  // one message a record: they have ids, or records are counted
	delayed                  // one message a record, of the stream for delayed ones
)

// appending is a record that waits for its answer.
type appending struct {
	end  int // of its message in data
	size int // of the record
	id   string
	due  time.Time
	done func(Appended)
}

func (g *group) reset(kind groupKind) {
	clear(g.records)
	g.kind, g.records, g.data = kind, g.records[:0], g.data[:0]
	if kind == packed {
		g.data = append(g.data, make([]byte, groupHead)...)
		g.data[0] = kindGroup
	}
}

// takes tells whether a record fits.
func (g *group) takes(kind groupKind, size, most int) bool {
	return g.kind == kind && len(g.records) < groupRecords && len(g.data)+size+groupHead <= most
}

func (g *group) add(a appending, record []byte) {
	if g.kind == packed {
		g.data = binary.LittleEndian.AppendUint32(g.data, uint32(len(record)))
	} else {
		g.data = append(g.data, make([]byte, oneHead)...)
		g.data[len(g.data)-oneHead] = kindOne
	}
	g.data = append(g.data, record...)
	a.end, a.size = len(g.data), len(record)
	g.records = append(g.records, a)
	if g.kind == packed {
		binary.LittleEndian.PutUint16(g.data[oneHead:], uint16(len(g.records)))
	}
}

// message is record i's own message; not of packed groups.
func (g *group) message(i int) []byte {
	from := 0
	if i > 0 {
		from = g.records[i-1].end
	}
	return g.data[from:g.records[i].end]
}

// bytes is how long the messages of records [from, to) are; not of packed groups.
func (g *group) bytes(from, to int) int {
	if from == 0 {
		return g.records[to-1].end
	}
	return g.records[to-1].end - g.records[from-1].end
}

// part copies records [from, to) of a packed group into another group.
func (g *group) part(from, to int) *group {
	p := &group{}
	p.reset(g.kind)
	for i := from; i < to; i++ {
		a := g.records[i]
		p.add(a, g.data[a.end-a.size:a.end])
	}
	return p
}

// answer tells the records [from, to) the same.
func (g *group) answer(from, to int, a Appended) {
	for i := from; i < to; i++ {
		g.records[i].done(a)
	}
}

// placed tells all records of a packed group where they are.
func (g *group) placed(stream uint64) {
	for i := range g.records {
		g.records[i].done(Appended{Seq: seqOf(stream, i)})
	}
}
