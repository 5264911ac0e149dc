package tooltest

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// never is how long a wire holds back what is not to come.
	never = time.Hour

	// busy is what a machine with too much to do may add to any time.
	busy = 5 * time.Second
)

// Within fails when do takes longer than it may on a machine that has much to do.
func Within(t *testing.T, limit time.Duration, do func()) {
	t.Helper()
	begin := time.Now()
	do()
	if took := time.Since(begin); took > limit+busy {
		t.Errorf("it took %v, want %v at most", took, limit)
	}
}

// Behind makes a wire to a listener, and returns the listener for a server of
// HTTP/1.1. Its address is the wire's.
func (p *Toxiproxy) Behind(t *testing.T, l net.Listener) (net.Listener, *Wire) {
	t.Helper()
	w := p.Wire(t, l.Addr().String())
	return behind{l, w}, w
}

// behind is the far end of a wire.
type behind struct {
	net.Listener

	wire *Wire
}

// Addr is the near end.
func (b behind) Addr() net.Addr { return &b.wire.Address }

// Accept returns a connection whose answers are measured.
func (b behind) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	return measured{c, &b.wire.answers}, err
}

// answers are the answers of a server behind a wire.
type answers struct {
	head   atomic.Int64 // bytes that the header of the first one took
	padded atomic.Bool  // their headers are longer by padding
}

// padding is what a line of a kilobyte a second takes too long for.
var padding = "X-Padding: " + strings.Repeat("x", 16<<10) + "\r\n"

// Measure has the next answer decide what is in the middle of a body.
func (w *Wire) Measure() { w.answers.head.Store(0) }

type measured struct {
	net.Conn

	answers *answers
}

// Write notes how long a header is, or makes it longer.
func (m measured) Write(p []byte) (int, error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		return m.Conn.Write(p)
	}
	m.answers.head.CompareAndSwap(0, int64(end+4))
	if !m.answers.padded.Load() {
		return m.Conn.Write(p)
	}
	if _, err := m.Conn.Write(slices.Concat(p[:end+2], []byte(padding), p[end+2:])); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TCPFault is what can befall a request and its answer on their way.
type TCPFault struct {
	Name    string
	Spoil   func(*testing.T, *Wire) // until Mend
	Arrives bool                    // the server does what it is asked for
	Answers bool                    // and its answer comes, in time
}

// TCPFaults are those that toxiproxy has.
func TCPFaults() []TCPFault {
	return []TCPFault{
		{"nobody takes the connection", func(t *testing.T, w *Wire) { t.Helper(); w.Down(t) }, false, false},
		{"the request gets lost", spoiled(upstream(toxic("timeout", "timeout", 0))), false, false},
		{"the request meets a reset", spoiled(upstream(toxic("reset_peer", "timeout", 0))), false, false},
		{"the answer gets lost", spoiled(toxic("timeout", "timeout", 0), open()), true, false},
		{"the answer comes much too late", spoiled(toxic("latency", "latency", never.Milliseconds())), true, false},
		{"the answer comes a byte a minute", spoiled(toxic("slicer", "average_size", 1, "size_variation", 0, "delay", time.Minute.Microseconds())), true, false},
		{"the answer is a reset", spoiled(toxic("reset_peer", "timeout", 0)), true, false},
		{"the connection is reset in the header", cut(inHeader, resets()), true, false},
		{"the connection is reset in the body", cut(inBody, resets()), true, false},
		{"the connection ends in the header", cut(inHeader), true, false},
		{"the connection ends in the body", cut(inBody), true, false},
		{"the answer stops in the header", cut(inHeader, open()), true, false},
		{"the answer stops in the body", cut(inBody, open()), true, false},
		{"the line is too slow for the answer", func(t *testing.T, w *Wire) {
			t.Helper()
			w.Spoil(t, toxic("bandwidth", "rate", 1))
			w.answers.padded.Store(true)
		}, true, false},
		{"the answer comes in pieces", spoiled(toxic("slicer", "average_size", 48, "size_variation", 40, "delay", 100)), true, true},
		{"the line is slow, though not too slow", spoiled(toxic("bandwidth", "rate", 64), toxic("latency", "latency", 50, "jitter", 20)), true, true},
		{"the connection does not close", spoiled(open(), upstream(open())), true, true},
	}
}

// WithoutBody are the faults that answers without a body can meet.
func WithoutBody() []TCPFault {
	return slices.DeleteFunc(TCPFaults(), func(f TCPFault) bool { return strings.HasSuffix(f.Name, "in the body") })
}

// spoiled is a wire with toxics.
func spoiled(toxics ...Toxic) func(*testing.T, *Wire) {
	return func(t *testing.T, w *Wire) {
		t.Helper()
		w.Spoil(t, toxics...)
	}
}

// inHeader and inBody are where an answer is cut.
func inHeader(*testing.T, *Wire) int64 { return 40 }

func inBody(t *testing.T, w *Wire) int64 {
	t.Helper()
	head := w.answers.head.Load()
	if head == 0 {
		t.Fatal("no answer was measured")
	}
	return head + 1
}

// cut ends an answer behind so many bytes; how makes another end of it than the
// connection's.
func cut(after func(*testing.T, *Wire) int64, how ...Toxic) func(*testing.T, *Wire) {
	return func(t *testing.T, w *Wire) {
		t.Helper()
		w.Spoil(t, append([]Toxic{toxic("limit_data", "bytes", after(t, w))}, how...)...)
	}
}

func toxic(kind string, attributes ...any) Toxic {
	all := map[string]any{}
	for n := 0; n+1 < len(attributes); n += 2 {
		name, _ := attributes[n].(string)
		all[name] = attributes[n+1]
	}
	return Toxic{Kind: kind, Attributes: all}
}

func upstream(t Toxic) Toxic {
	t.Upstream = true
	return t
}

// open keeps a connection open whose end has come.
func open() Toxic { return toxic("slow_close", "delay", never.Milliseconds()) }

// resets is a toxic for which toxiproxy ends a connection by a reset, whoever
// ends it, and that does nothing else.
func resets() Toxic {
	t := toxic("reset_peer", "timeout", 0)
	t.Dormant = true
	return t
}

// Survived counts faults for the summary.
type Survived struct{ n atomic.Int64 }

// NewSurvived is one that is told when the test ends.
func NewSurvived(t *testing.T, what string) *Survived {
	t.Helper()
	s := new(Survived)
	t.Cleanup(func() { Count(t, what, s.n.Load()) })
	return s
}

// Run has meets meet each fault, one after another: they share a wire.
func (s *Survived) Run(t *testing.T, faults []TCPFault, meets func(*testing.T, TCPFault)) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.Name, func(t *testing.T) {
			if meets(t, f); !t.Failed() {
				s.n.Add(1)
			}
		})
	}
}
