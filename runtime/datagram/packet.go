package datagram

// packet is what is sent again as a whole: records of one channel that follow each
// other.
type packet struct {
	buf     []byte // whole records
	channel *channel
	next    *packet // of its channel

	// In flight or lost, ordered by tx:
	list       *list
	fore, back *packet

	first   uint32 // sequence of its first record
	count   uint32 // records
	long    int    // payload of the message of several records that is to begin with it
	tx      uint64 // number of the datagram that carried it last
	sentAt  int64
	gave    bool // was given up because later ones arrived
	resent  bool
	settled bool // reported as arrived, ahead of others
}

// end is the sequence after the packet's last record.
func (p *packet) end() uint32 { return p.first + p.count }

// list is a queue of packets.
type list struct {
	head, tail *packet
	count      int
}

func (l *list) push(p *packet) {
	p.list, p.back, p.fore = l, l.tail, nil
	if l.tail != nil {
		l.tail.fore = p
	} else {
		l.head = p
	}
	l.tail = p
	l.count++
}

func (l *list) remove(p *packet) {
	if p.back != nil {
		p.back.fore = p.fore
	} else {
		l.head = p.fore
	}
	if p.fore != nil {
		p.fore.back = p.back
	} else {
		l.tail = p.back
	}
	p.list, p.fore, p.back = nil, nil, nil
	l.count--
}

// Pool keeps the memory of packets for the connections of one goroutine.
type Pool struct {
	free []*packet
	size int
}

// poolBytes is how much memory a pool keeps.
const poolBytes = 8 << 20

// NewPool makes a pool for connections whose MTU is at most size.
func NewPool(size int) *Pool { return &Pool{size: size} }

func (q *Pool) take() *packet {
	if n := len(q.free) - 1; n >= 0 {
		p := q.free[n]
		q.free = q.free[:n]
		return p
	}
	return &packet{buf: make([]byte, 0, q.size)}
}

func (q *Pool) give(p *packet) {
	if len(q.free)*q.size < poolBytes {
		*p = packet{buf: p.buf[:0]}
		q.free = append(q.free, p)
	}
}
