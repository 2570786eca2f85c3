package policy

import "strings"

// family is the type of value that an operator compares (spec 05 OPR-01).
type family uint8

const (
	familyString family = iota + 1
	familyNumeric
	familyDate
	familyBool
	familyBinary
	familyIP
	familyARN
	familyNull
)

// relation is how it compares them.
type relation uint8

const (
	relEqual relation = iota
	relEqualFold
	relLike
	relLess
	relLessOrEqual
	relGreater
	relGreaterOrEqual
)

// operator is one row of the operator table.
type operator struct {
	name     string
	family   family
	relation relation
	negated  bool // true if no policy value compares
}

// operators is the whole set of spec 05 OPR-01; suffix and prefixes are read apart.
var operators = [...]operator{
	{"StringEquals", familyString, relEqual, false},
	{"StringNotEquals", familyString, relEqual, true},
	{"StringEqualsIgnoreCase", familyString, relEqualFold, false},
	{"StringNotEqualsIgnoreCase", familyString, relEqualFold, true},
	{"StringLike", familyString, relLike, false},
	{"StringNotLike", familyString, relLike, true},
	{"NumericEquals", familyNumeric, relEqual, false},
	{"NumericNotEquals", familyNumeric, relEqual, true},
	{"NumericLessThan", familyNumeric, relLess, false},
	{"NumericLessThanEquals", familyNumeric, relLessOrEqual, false},
	{"NumericGreaterThan", familyNumeric, relGreater, false},
	{"NumericGreaterThanEquals", familyNumeric, relGreaterOrEqual, false},
	{"DateEquals", familyDate, relEqual, false},
	{"DateNotEquals", familyDate, relEqual, true},
	{"DateLessThan", familyDate, relLess, false},
	{"DateLessThanEquals", familyDate, relLessOrEqual, false},
	{"DateGreaterThan", familyDate, relGreater, false},
	{"DateGreaterThanEquals", familyDate, relGreaterOrEqual, false},
	{"Bool", familyBool, relEqual, false},
	{"BinaryEquals", familyBinary, relEqual, false},
	{"IpAddress", familyIP, relEqual, false},
	{"NotIpAddress", familyIP, relEqual, true},
	{"ArnEquals", familyARN, relLike, false},
	{"ArnLike", familyARN, relLike, false},
	{"ArnNotEquals", familyARN, relLike, true},
	{"ArnNotLike", familyARN, relLike, true},
	{"Null", familyNull, relEqual, false},
}

// setOperator is the prefix of an operator.
type setOperator uint8

const (
	setNone setOperator = iota
	setAnyValue
	setAllValues
)

// parseOperator reads [ForAnyValue:|ForAllValues:]name[IfExists]. Null takes neither (spec 05 OPR-03, SET-02).
func parseOperator(written string) (op *operator, set setOperator, ifExists, ok bool) {
	name := written
	if rest, found := strings.CutPrefix(name, "ForAnyValue:"); found {
		name, set = rest, setAnyValue
	} else if rest, found := strings.CutPrefix(name, "ForAllValues:"); found {
		name, set = rest, setAllValues
	}
	name, ifExists = strings.CutSuffix(name, "IfExists")
	for i := range operators {
		if operators[i].name == name {
			op = &operators[i]
			return op, set, ifExists, op.family != familyNull || set == setNone && !ifExists
		}
	}
	return nil, 0, false, false
}

// holds tells whether the relation holds for the sign of a comparison of context value with policy value.
func (r relation) holds(sign int) bool {
	switch r {
	case relLess:
		return sign < 0
	case relLessOrEqual:
		return sign <= 0
	case relGreater:
		return sign > 0
	case relGreaterOrEqual:
		return sign >= 0
	}
	return sign == 0
}
