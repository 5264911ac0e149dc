package apigw

// Answer lets the benchmarks render an answer without a log line.
func (d *Decision) Answer(r *Request) ([]byte, error) { return d.answer(r) }
