package registrytest

import (
	"errors"
	"strings"
	"time"

	"gatehouse/shared/registry"
)

func quotaIsCounted(f *fixture) {
	q := registry.Quota{Name: "registrations", Limit: 3, Window: time.Hour}
	for range q.Limit {
		f.must(f.Spend(f.ctx(), q))
	}
	f.want(registry.ErrSpent, f.Spend(f.ctx(), q))
	other := q
	other.Name = "others"
	f.must(f.Spend(f.ctx(), other))
	f.clock.Advance(q.Window)
	f.must(f.Spend(f.ctx(), q))
	f.want(registry.ErrInvalid, f.Spend(f.ctx(), registry.Quota{Limit: 1}))

	// However many count at the same time, no more than the limit get through.
	f.clock.Advance(q.Window)
	spent := 0
	for _, err := range race(func(int) error { return f.Spend(f.ctx(), q) }) {
		switch {
		case err == nil:
			spent++
		case !errors.Is(err, registry.ErrSpent) && !errors.Is(err, registry.ErrInProgress):
			f.Errorf("got %v", err)
		}
	}
	if spent == 0 || spent > q.Limit {
		f.Errorf("%d got through, want 1 to %d", spent, q.Limit)
	}
}

func notesAreReplaced(f *fixture) {
	_, err := f.Keys(f.ctx(), "okta")
	f.want(registry.ErrNotFound, err)
	_, err = f.Health(f.ctx(), "okta")
	f.want(registry.ErrNotFound, err)
	for _, set := range []string{`{"keys":[]}`, `{"keys":[{"kid":"1"}]}`} {
		f.clock.Advance(time.Minute)
		f.must(f.SaveKeys(f.ctx(), "okta", registry.Keys{Set: []byte(set), Fetched: f.clock.Now()}))
		got, err := f.Keys(f.ctx(), "okta")
		if err != nil || string(got.Set) != set || !got.Fetched.Equal(f.clock.Now()) {
			f.Errorf("got %s of %v, %v, want %s", got.Set, got.Fetched, err, set)
		}
	}
	for _, word := range []string{"unavailable", "ok"} {
		f.must(f.SaveHealth(f.ctx(), "okta", registry.Health{Checks: map[string]string{"keys": word}, Checked: f.clock.Now()}))
		if got, err := f.Health(f.ctx(), "okta"); err != nil || got.Checks["keys"] != word {
			f.Errorf("got %v, %v, want %s", got, err, word)
		}
	}
	_, err = f.Keys(f.ctx(), "other")
	f.want(registry.ErrNotFound, err)
}

func answerIsKept(f *fixture) {
	_, err := f.Answer(f.ctx(), hash("1"))
	f.want(registry.ErrNotFound, err)
	answer := registry.Answer{Key: hash("1"), Expires: f.clock.Now().Add(time.Minute)}
	for _, sealed := range []string{"first", "second"} {
		answer.Sealed = []byte(sealed)
		f.must(f.SaveAnswer(f.ctx(), answer))
		got, err := f.Answer(f.ctx(), answer.Key)
		if err != nil || string(got.Sealed) != sealed || got.Key != answer.Key || !got.Expires.Equal(answer.Expires) {
			f.Errorf("got %+v, %v, want %+v", got, err, answer)
		}
	}
	_, err = f.Answer(f.ctx(), hash("2"))
	f.want(registry.ErrNotFound, err)
	f.clock.Advance(time.Minute)
	_, err = f.Answer(f.ctx(), answer.Key)
	f.want(registry.ErrNotFound, err)

	answer.Sealed = make([]byte, 32<<10)
	f.want(registry.ErrInvalid, f.SaveAnswer(f.ctx(), answer))
	for name, bad := range map[string]registry.Answer{
		"a request in place of its hash": {Key: "hunter2", Sealed: []byte("sealed"), Expires: answer.Expires},
		"nothing that is sealed":         {Key: hash("1"), Expires: answer.Expires},
		"no end":                         {Key: hash("1"), Sealed: []byte("sealed")},
	} {
		err := f.SaveAnswer(f.ctx(), bad)
		f.want(registry.ErrInvalid, err)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			f.Errorf("%s: got %v, want to be told without it", name, err)
		}
	}
}
