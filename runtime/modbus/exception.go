package modbus

import (
	"errors"
	"fmt"
)

// Exception is an exception code of MODBUS Application Protocol V1.1b3, section 7.
// It is an error, so that errors.As finds the code in what Do returned.
type Exception uint8

// The exception codes.
const (
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	// DeviceFailure: the request failed, and no other code says why.
	DeviceFailure Exception = 4
	// Acknowledge: it takes long, and has not failed.
	Acknowledge Exception = 5
	// DeviceBusy: try again later.
	DeviceBusy   Exception = 6
	MemoryParity Exception = 8
	// NoPath: the gateway has no way to the unit.
	NoPath Exception = 0x0a
	// NoResponse: the unit behind the gateway did not answer.
	NoResponse Exception = 0x0b
)

// Exceptions lists the codes that the specification defines.
func Exceptions() []Exception {
	return []Exception{IllegalFunction, IllegalAddress, IllegalValue, DeviceFailure, Acknowledge, DeviceBusy, MemoryParity, NoPath, NoResponse}
}

var exceptionTexts = map[Exception]string{
	IllegalFunction: "illegal function",
	IllegalAddress:  "illegal data address",
	IllegalValue:    "illegal data value",
	DeviceFailure:   "server device failure",
	Acknowledge:     "acknowledge",
	DeviceBusy:      "server device busy",
	MemoryParity:    "memory parity error",
	NoPath:          "gateway path unavailable",
	NoResponse:      "gateway target device failed to respond",
}

// Error is the specification's name of the code.
func (e Exception) Error() string {
	text, ok := exceptionTexts[e]
	if !ok {
		text = "unknown"
	}
	return fmt.Sprintf("modbus exception %d: %s", uint8(e), text)
}

// failed is the bit of the function code that marks an exception.
const failed = 0x80

// AppendException appends the PDU that answers a request of the function with e.
func AppendException(dst []byte, function byte, e Exception) []byte {
	return append(dst, function|failed, byte(e))
}

// AsException tells whether a response is an exception, and which.
func AsException(pdu []byte) (Exception, bool) {
	if len(pdu) == 2 && pdu[0]&failed != 0 {
		return Exception(pdu[1]), true
	}
	return 0, false
}

// The errors of a request that no device answered.
var (
	// ErrBusy: as many requests as may wait for the device wait already.
	ErrBusy = errors.New("modbus: too many requests wait for the device")
	// ErrTimeout: the device did not answer in time, at no try.
	ErrTimeout = errors.New("modbus: the device did not answer in time")
	// ErrUnreachable: no connection to the device could be made, or it was lost.
	ErrUnreachable = errors.New("modbus: the device cannot be reached")
	// ErrStopped: the device is not in use any more.
	ErrStopped = errors.New("modbus: stopped")
)

// ExceptionOf is what a gateway answers to a request that ended with err
// (V1.1b3, section 7): the device's own exception, 6 if too many wait, else 0x0B.
func ExceptionOf(err error) Exception {
	var e Exception
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, ErrBusy):
		return DeviceBusy
	}
	return NoResponse
}
