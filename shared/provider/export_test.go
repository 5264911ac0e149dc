package provider

import (
	"context"
	"time"
)

// SetWait replaces what p does while a rate limit passes.
func (p *Provider) SetWait(wait func(context.Context, time.Duration) error) {
	switch r := p.registrar.(type) {
	case *okta:
		r.sender.wait = wait
	case *rfc7591:
		r.sender.wait = wait
	}
}
