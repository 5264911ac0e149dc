//go:build !unix

package registry

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock that ends with the process, two processes
// could overwrite each other's changes.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("a registry in a file needs Unix; without a path it is kept in memory")
}
