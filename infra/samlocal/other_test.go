//go:build !linux

package samlocal_test

import (
	"errors"
	"testing"

	"gatehouse/infra/tooltest"
)

func TestSAMLocal(t *testing.T) {
	t.Parallel()
	tooltest.Missing(t, errors.New("a Docker engine of its own takes Linux"))
}
