package query

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/trentkms/trent/api/awsjson"
	"github.com/trentkms/trent/region"
)

// API is one service that speaks the protocol.
type API struct {
	Service   string // of the credential scope: iam
	Version   string // 2010-05-08
	Namespace string
	Source    string // eventSource of audit records
	// Operations by name.
	Operations map[string]*Operation
}

// NewAPI indexes the operations of a service. It panics on one that cannot work: tables are built when the program starts.
func NewAPI(service, version string, ops []*Operation) *API {
	a := &API{
		Service: service, Version: version, Namespace: "https://" + service + ".amazonaws.com/doc/" + version + "/",
		Source: service + ".amazonaws.com", Operations: make(map[string]*Operation, len(ops)),
	}
	for _, op := range ops {
		if a.Operations[op.Name] != nil || op.Write && op.again == nil {
			panic(fmt.Sprintf("query: operation %s of %s is declared twice, or has an output and no answer for a repeat", op.Name, service))
		}
		op.permission = service + ":" + op.Name
		a.Operations[op.Name] = op
	}
	return a
}

// Row is one operation with what the layers around it must know.
type Row struct {
	// Name is the operation's name in the API model.
	Name string
	// Write tells that the operation commits a change.
	Write bool
	// Request names the input's members in requestParameters, Response the output's in responseElements; none for null.
	Request, Response []string
}

// Operation is a row bound to its function and shapes. It is immutable.
type Operation struct {
	Row
	permission string
	input      *awsjson.Shape
	request    *awsjson.Selection
	response   *awsjson.Selection
	recorded   func(out any) any // what the record shows of an output, nil for the output itself
	responseOf reflect.Type
	output     reflect.Type
	make       func() region.Input
	do, again  Function
}

// Function performs an operation.
type Function func(context.Context, *region.Service, *region.Call, region.Input) (any, error)

// inputOf is a pointer to an operation's input struct.
type inputOf[T any] interface {
	*T
	region.Input
}

// Perform is an operation's function in package region.
type Perform[In, Out any] func(*region.Service, context.Context, *region.Call, *In) (*Out, error)

// Define binds a row to its function.
func Define[In, Out any, P inputOf[In]](r Row, do Perform[In, Out]) *Operation {
	op := &Operation{
		Row: r, input: awsjson.Compile[In](), output: reflect.TypeFor[Out](),
		make: func() region.Input { return P(new(In)) },
		do:   bind[In, Out, P](do),
	}
	if _, void := any(new(Out)).(*region.None); void {
		op.again = func(context.Context, *region.Service, *region.Call, region.Input) (any, error) { return nil, nil }
	}
	if len(r.Request) > 0 {
		op.request = op.input.MustSelect(r.Request...)
	}
	if len(r.Response) > 0 {
		op.response, op.responseOf = awsjson.Compile[Out]().MustSelect(r.Response...), reflect.TypeFor[*Out]()
	}
	return op
}

// Repeatable is Define for changes with an output: again answers a repeat.
func Repeatable[In, Out any, P inputOf[In]](r Row, do, again Perform[In, Out]) *Operation {
	op := Define[In, Out, P](r, do)
	op.again = bind[In, Out, P](again)
	return op
}

// Unrepeated is for changes whose repeat cannot be answered, because the answer has a secret: the state remembers none of them.
func Unrepeated(op *Operation) *Operation {
	op.again = func(context.Context, *region.Service, *region.Call, region.Input) (any, error) {
		return nil, errors.New("query: an operation with a secret was remembered")
	}
	return op
}

// Recorded chooses what the record shows of an output that has a secret.
func Recorded[Out, Shown any](op *Operation, show func(*Out) *Shown, members ...string) *Operation {
	op.response, op.responseOf = awsjson.Compile[Shown]().MustSelect(members...), reflect.TypeFor[*Shown]()
	op.recorded = func(out any) any {
		if o, ok := out.(*Out); ok {
			return show(o)
		}
		return out
	}
	return op
}

func bind[In, Out any, P inputOf[In]](f Perform[In, Out]) Function {
	return func(ctx context.Context, s *region.Service, c *region.Call, in region.Input) (any, error) {
		out, err := f(s, ctx, c, (*In)(in.(P)))
		if err != nil || out == nil {
			return nil, err
		}
		if _, void := any(out).(*region.None); void {
			return nil, nil
		}
		return out, nil
	}
}

// Input and Output are the struct types of the operation's input and output; the output of one without is region.None.
func (op *Operation) Input() reflect.Type { return op.input.Type() }

// Output is described with Input.
func (op *Operation) Output() reflect.Type { return op.output }

// Permission is the action that the operation needs.
func (op *Operation) Permission() string { return op.permission }

// Decode reads a form into a new input. invalid are violated constraints, which are told after authentication.
func (op *Operation) Decode(f *Form) (in region.Input, invalid *awsjson.ValidationError, err error) {
	body, err := f.JSON(op.input.Type())
	if err != nil {
		return nil, nil, err
	}
	defer clear(body)
	in = op.make()
	invalid, err = op.input.Decode(body, in)
	return in, invalid, err
}

// Wipe overwrites the secrets of an input.
func (op *Operation) Wipe(in region.Input) { op.input.Wipe(in) }

// Do performs the operation, Again answers a repeat of a change that took effect.
func (op *Operation) Do(ctx context.Context, s *region.Service, c *region.Call, in region.Input) (any, error) {
	return op.do(ctx, s, c, in)
}

// Again answers a repeat of a change that took effect.
func (op *Operation) Again(ctx context.Context, s *region.Service, c *region.Call, in region.Input) (any, error) {
	return op.again(ctx, s, c, in)
}

// AppendRequest appends requestParameters.
func (op *Operation) AppendRequest(b []byte, in region.Input) []byte { return op.request.Append(b, in) }

// AppendResponse appends responseElements.
func (op *Operation) AppendResponse(b []byte, out any) []byte {
	if op.recorded != nil {
		out = op.recorded(out)
	}
	if op.response == nil || out == nil || reflect.TypeOf(out) != op.responseOf {
		return append(b, "null"...)
	}
	return op.response.Append(b, out)
}
