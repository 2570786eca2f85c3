package api

import (
	"context"
	"fmt"
	"reflect"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region"
)

// Class is what an operation does to the region.
type Class uint8

// Classes. They decide the audit's readOnly (spec 03 AUD-37) and who writes the record.
const (
	Read   Class = iota + 1 // reads state
	Crypto                  // uses a key, changes nothing
	Write                   // commits a change
)

// Response says what the audit record of a success shows as responseElements (spec 03 AUD-22, AUD-23).
type Response uint8

// Responses.
const (
	RespondNull         Response = iota // null: reads, cryptography, secrets
	RespondKeyARN                       // {"keyId": <key ARN>}
	RespondOutput                       // the members of the output named in Row.Output
	RespondOutputAndKey                 // the same, then keyId, the key ARN
)

// Row is one operation with everything that the layers around it must know.
type Row struct {
	// Name is the operation's name in the API model.
	Name  string
	Class Class
	// Aliases tells that the key may be named by an alias (spec 01 KID-03).
	Aliases bool
	// CrossAccount tells that keys of other accounts may be used (spec 01 KID-05).
	CrossAccount bool
	// StateOfFirst tells that only the first key's state counts (UpdateAlias: the new target).
	StateOfFirst bool
	// Request names the input's members in requestParameters, none for null (spec 03 A9).
	Request []string
	// Response and Output say what responseElements are.
	Response Response
	Output   []string
}

// Operation is a row bound to its functions and shapes. It is immutable.
type Operation struct {
	Row

	input  *awsjson.Shape
	output *awsjson.Shape
	// void operations answer an empty body (spec 10 PROTO-03).
	void     bool
	request  *awsjson.Selection
	response *awsjson.Selection
	dryRun   []int // index of the value in the input's DryRun field, nil if it has none

	newInput func() region.Input
	do       func(*region.Service, context.Context, *region.Call, region.Input) (any, error)
	again    func(*region.Service, context.Context, *region.Call, region.Input) (any, error)
}

// input is a pointer to an operation's input struct.
type input[T any] interface {
	*T
	region.Input
}

// perform is an operation's function in package region.
type perform[In, Out any] func(*region.Service, context.Context, *region.Call, *In) (*Out, error)

// define binds a row to its function. It panics on a row that cannot work: the table is built when the program starts.
func define[In, Out any, P input[In]](r Row, do perform[In, Out]) *Operation {
	op := &Operation{
		Row: r, input: awsjson.Compile[In](), output: awsjson.Compile[Out](),
		newInput: func() region.Input { return P(new(In)) },
		do: func(s *region.Service, ctx context.Context, c *region.Call, in region.Input) (any, error) {
			return result(do(s, ctx, c, (*In)(in.(P))))
		},
	}
	_, op.void = any(new(Out)).(*region.None)
	if op.void {
		op.again = func(*region.Service, context.Context, *region.Call, region.Input) (any, error) { return nil, nil }
	}
	if len(r.Request) > 0 {
		op.request = op.input.MustSelect(r.Request...)
	}
	if r.Response == RespondOutput || r.Response == RespondOutputAndKey {
		op.response = op.output.MustSelect(r.Output...)
	}
	if f, ok := reflect.TypeFor[In]().FieldByName("DryRun"); ok {
		value, _ := f.Type.FieldByName("Value")
		op.dryRun = []int{f.Index[0], value.Index[0]}
	}
	return op
}

// repeatable binds the function that answers a repeat of a change, for changes with an output.
func repeatable[In, Out any, P input[In]](op *Operation, again perform[In, Out]) *Operation {
	op.again = func(s *region.Service, ctx context.Context, c *region.Call, in region.Input) (any, error) {
		return result(again(s, ctx, c, (*In)(in.(P))))
	}
	return op
}

// result keeps a nil output from becoming a non-nil any.
func result[Out any](out *Out, err error) (any, error) {
	if err != nil || out == nil {
		return nil, err
	}
	return out, nil
}

// isDryRun tells whether the request asks for a dry run.
func (op *Operation) isDryRun(in region.Input) bool {
	return op.dryRun != nil && reflect.ValueOf(in).Elem().Field(op.dryRun[0]).Field(op.dryRun[1]).Bool()
}

// readOnly is the audit's readOnly.
func (op *Operation) readOnly() bool { return op.Class != Write }

// table indexes operations by name.
type table map[string]*Operation

func newTable(ops []*Operation) table {
	t := make(table, len(ops))
	for _, op := range ops {
		if t[op.Name] != nil {
			panic(fmt.Sprintf("api: operation %s is declared twice", op.Name))
		}
		if op.Class == Write && op.again == nil {
			panic(fmt.Sprintf("api: operation %s has an output and no answer for a repeat", op.Name))
		}
		t[op.Name] = op
	}
	return t
}
