package main

import "testing"

// BenchmarkSubjects is for profiles: go test -bench 'cached$' -cpuprofile cpu.out.
func BenchmarkSubjects(b *testing.B) {
	subjects, err := newSubjects()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range subjects {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
