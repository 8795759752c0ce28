package modbus

import (
	"fmt"
	"strconv"
)

// Table is one of the four kinds of values that a device has, as the function code
// that reads it.
type Table uint8

// The tables.
const (
	Coils    Table = 1
	Discrete Table = 2
	Holding  Table = 3
	Input    Table = 4
)

// Bits tells whether the table's values are single bits.
func (t Table) Bits() bool { return t <= Discrete }

// String is the table's name in configurations and topics.
func (t Table) String() string {
	switch t {
	case Coils:
		return "coils"
	case Discrete:
		return "discrete"
	case Holding:
		return "holding"
	case Input:
		return "input"
	}
	return "unknown"
}

// lead is the first digit of the table's numbers in manuals.
func (t Table) lead() int {
	switch t {
	case Discrete:
		return 1
	case Input:
		return 3
	case Holding:
		return 4
	}
	return 0
}

// MaxRead is how many values one request reads at most.
func (t Table) MaxRead() int {
	if t.Bits() {
		return 2000
	}
	return 125
}

// Number is how manuals call the value at an address from 0: 40001 is the first
// holding register, from the 10,000th on there are six digits.
func (t Table) Number(address int) int {
	if address < 9999 {
		return t.lead()*10000 + address + 1
	}
	return t.lead()*100000 + address + 1
}

// Find is the table and the address, from 0, of a number as manuals write it.
func Find(number int) (Table, int, error) {
	base := 10000
	if number >= 100000 {
		base = 100000
	}
	lead, address := number/base, number%base-1
	if number >= 10000 && number <= 65536 && lead != 1 && lead != 3 && lead != 4 {
		lead, address = -1, 0
	}
	for _, t := range []Table{Coils, Discrete, Input, Holding} {
		if t.lead() == lead && address >= 0 && address < 65536 && number > 0 {
			return t, address, nil
		}
	}
	return 0, 0, fmt.Errorf("%s is the number of no coil, input or register: expected 1 to 9999, 10001, 30001, 40001 or such, or six digits", strconv.Itoa(number))
}
