package hsm

import (
	"context"
	"errors"
	"time"
)

// Observer is told of every call to a module and its keys, after it returned: the method's name ("Generate",
// "Key.Sign"), how long it took, and its outcome as ErrorClass names it. It is called concurrently and on the hot path:
// it must not block and should not allocate.
type Observer func(method string, took time.Duration, class string)

// The outcomes that ErrorClass tells apart.
const (
	ClassOK           = "ok"
	ClassUnsupported  = "unsupported"
	ClassUnavailable  = "unavailable"
	ClassIntegrity    = "integrity"
	ClassNoDomain     = "no_domain"
	ClassDomainExists = "domain_exists"
	ClassInvalidInput = "invalid_input"
	ClassClosed       = "closed"
	ClassOther        = "other"
)

var errorClasses = []struct {
	err   error
	class string
}{
	{ErrUnavailable, ClassUnavailable},
	{ErrInvalidInput, ClassInvalidInput},
	{ErrUnsupported, ClassUnsupported},
	{ErrIntegrity, ClassIntegrity},
	{ErrNoDomain, ClassNoDomain},
	{ErrDomainExists, ClassDomainExists},
	{ErrClosed, ClassClosed},
}

// ErrorClass returns a short, fixed name for the kind of err, fit for a metric's label: ClassOK for nil, ClassOther for
// an error that is none of this package's.
func ErrorClass(err error) string {
	if err == nil {
		return ClassOK
	}
	for _, c := range errorClasses {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	return ClassOther
}

// Observe returns m with every call reported to observe, Info, Capabilities and Key.Type excepted. Keys of the result
// work with the result only; Unobserved gives m back.
func Observe(m Module, observe Observer) Module {
	return &observed{Module: m, watch: &watch{observe: observe, start: time.Now()}}
}

// Unobserved returns the module under Observe, or m itself.
func Unobserved(m Module) Module {
	if o, ok := m.(*observed); ok {
		return o.Module
	}
	return m
}

// watch reads the monotonic clock alone, as time since start: half the price of time.Now on the hot path.
type watch struct {
	observe Observer
	start   time.Time
}

func (w *watch) begin() time.Duration { return time.Since(w.start) }

func (w *watch) end(method string, began time.Duration, err error) {
	w.observe(method, time.Since(w.start)-began, ErrorClass(err))
}

type observed struct {
	Module
	*watch
}

func (o *observed) Health(ctx context.Context) error {
	t := o.begin()
	err := o.Module.Health(ctx)
	o.end("Health", t, err)
	return err
}

func (o *observed) Random(ctx context.Context, b []byte) error {
	t := o.begin()
	err := o.Module.Random(ctx, b)
	o.end("Random", t, err)
	return err
}

func (o *observed) CreateDomain(ctx context.Context, id DomainID) error {
	t := o.begin()
	err := o.Module.CreateDomain(ctx, id)
	o.end("CreateDomain", t, err)
	return err
}

func (o *observed) HasDomain(ctx context.Context, id DomainID) (bool, error) {
	t := o.begin()
	has, err := o.Module.HasDomain(ctx, id)
	o.end("HasDomain", t, err)
	return has, err
}

func (o *observed) DestroyDomain(ctx context.Context, id DomainID) error {
	t := o.begin()
	err := o.Module.DestroyDomain(ctx, id)
	o.end("DestroyDomain", t, err)
	return err
}

func (o *observed) ExportDomain(ctx context.Context, id DomainID, to TransportKey) ([]byte, error) {
	t := o.begin()
	wrapped, err := o.Module.ExportDomain(ctx, id, to)
	o.end("ExportDomain", t, err)
	return wrapped, err
}

func (o *observed) ImportDomain(ctx context.Context, id DomainID, wrapped []byte) error {
	t := o.begin()
	err := o.Module.ImportDomain(ctx, id, wrapped)
	o.end("ImportDomain", t, err)
	return err
}

func (o *observed) DomainPRF(ctx context.Context, id DomainID, label string, input []byte) ([32]byte, error) {
	t := o.begin()
	out, err := o.Module.DomainPRF(ctx, id, label, input)
	o.end("DomainPRF", t, err)
	return out, err
}

func (o *observed) Transport(ctx context.Context) (TransportKey, error) {
	t := o.begin()
	key, err := o.Module.Transport(ctx)
	o.end("Transport", t, err)
	return key, err
}

func (o *observed) ReplaceTransport(ctx context.Context) (TransportKey, error) {
	t := o.begin()
	key, err := o.Module.ReplaceTransport(ctx)
	o.end("ReplaceTransport", t, err)
	return key, err
}

func (o *observed) Generate(ctx context.Context, id DomainID, kt KeyType, u Usage, binding []byte) (Wrapped, error) {
	t := o.begin()
	w, err := o.Module.Generate(ctx, id, kt, u, binding)
	o.end("Generate", t, err)
	return w, err
}

func (o *observed) Load(ctx context.Context, m Material) (Key, error) {
	t := o.begin()
	key, err := o.Module.Load(ctx, m)
	o.end("Load", t, err)
	if err != nil {
		return nil, err
	}
	return &observedKey{Key: key, watch: o.watch}, nil
}

func (o *observed) Rewrap(ctx context.Context, m Material, to DomainID) (Wrapped, error) {
	t := o.begin()
	w, err := o.Module.Rewrap(ctx, m, to)
	o.end("Rewrap", t, err)
	return w, err
}

func (o *observed) Export(ctx context.Context, m Material, to TransportKey) ([]byte, error) {
	t := o.begin()
	out, err := o.Module.Export(ctx, m, to)
	o.end("Export", t, err)
	return out, err
}

func (o *observed) ExportUnder(ctx context.Context, key Key, m Material) ([]byte, error) {
	if k, ok := key.(*observedKey); ok {
		key = k.Key
	}
	t := o.begin()
	out, err := o.Module.ExportUnder(ctx, key, m)
	o.end("ExportUnder", t, err)
	return out, err
}

func (o *observed) Import(ctx context.Context, key Key, mech WrapMechanism, encrypted []byte, id DomainID, kt KeyType, u Usage, binding []byte) (Wrapped, error) {
	if k, ok := key.(*observedKey); ok {
		key = k.Key
	}
	t := o.begin()
	w, err := o.Module.Import(ctx, key, mech, encrypted, id, kt, u, binding)
	o.end("Import", t, err)
	return w, err
}

func (o *observed) Close() error {
	t := o.begin()
	err := o.Module.Close()
	o.end("Close", t, err)
	return err
}
