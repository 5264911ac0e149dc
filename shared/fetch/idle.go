package fetch

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// idleTimeout is how long a connection is kept that nothing is sent on.
const idleTimeout = 30 * time.Second

// forgetful makes connections that take nothing after idleTimeout by the wall
// clock. [http.Transport.IdleConnTimeout] says the same of a clock that may stand
// still while Lambda freezes a function, so that its first request afterwards
// would be sent to whoever forgot the connection hours ago, and wait in vain.
func forgetful(d dial, now func() time.Time) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d(ctx, network, address)
		if err != nil {
			return nil, err
		}
		f := &forgetfulConn{Conn: c, now: now}
		f.use()
		return f, nil
	}
}

type forgetfulConn struct {
	net.Conn

	now  func() time.Time
	used atomic.Int64 // the wall clock, in Unix milliseconds
}

func (c *forgetfulConn) use() { c.used.Store(c.now().UnixMilli()) }

// errForgotten makes net/http take another connection, for nothing was written.
var errForgotten = errors.New("the connection was idle for too long")

func (c *forgetfulConn) Write(b []byte) (int, error) {
	if c.now().UnixMilli()-c.used.Load() >= idleTimeout.Milliseconds() {
		return 0, errForgotten
	}
	c.use()
	return c.Conn.Write(b)
}

func (c *forgetfulConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.use()
	}
	return n, err
}
