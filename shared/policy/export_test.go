package policy

// TooLong reports whether the document for all that g allows has no room in an
// answer.
func (t *Table) TooLong(prefix string, g Grant) bool {
	d := t.best(prefix, g)
	return d.size(prefix) > maxDocument
}

// MaxDocument is the length of the longest document, in bytes.
const MaxDocument = maxDocument
