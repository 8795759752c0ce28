package mqtt

// ReceiptOf is a short form of a sequence number, never 0: the slot, and as much of
// the counter as tells a message from the 65,535 that had the slot before.
func ReceiptOf(seq uint64) uint32 { return uint32(seq) + 1 }

// DoneReceipt is Done for a server that keeps ReceiptOf a sequence number.
func (s *Session) DoneReceipt(receipt uint32, code byte) bool {
	if s.in == nil || receipt == 0 {
		return false
	}
	receipt--
	i := int(uint16(receipt))
	if i >= len(s.in.slots) || uint32(s.in.slots[i].seq) != receipt {
		return false
	}
	return s.Done(s.in.slots[i].seq, code)
}
