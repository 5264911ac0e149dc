package registry

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile makes text the content of the file at path, for its owner only.
// Whatever instant the process or the machine stops at, the file is the old one
// or the new one, whole; once it returns, the new one stays.
func replaceFile(path string, text []byte) error {
	name := path + ".new" // the lock makes us the only one
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	temp, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	// The rename itself is in the directory.
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
