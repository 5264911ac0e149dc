package registration

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/shared/registry"
	"gatehouse/shared/web"
)

// This file lets administrators see operations that stopped half-way, and end
// those that nobody else can.

// Interrupted lists operations at a provider that are open and nobody's at the
// moment, oldest first within each part of the list.
func (s *Service) Interrupted(ctx context.Context, c Caller, page registry.Page) ([]registry.Intent, string, error) {
	if err := c.administrator(); err != nil {
		return nil, "", err
	}
	open, next, err := s.Store.Unfinished(ctx, s.now(), page)
	if err != nil {
		return nil, "", fromStore(err)
	}
	var interrupted []registry.Intent
	for _, i := range open {
		if !s.now().Before(i.Lease) {
			interrupted = append(interrupted, i)
		}
	}
	return interrupted, next, nil
}

// Forget ends the creation of a client that may exist at a provider where
// clients cannot be looked up: an administrator has looked, and has deleted the
// client if there was one.
func (s *Service) Forget(ctx context.Context, c Caller, marker string) error {
	if err := c.administrator(); err != nil {
		return err
	}
	i, err := s.Store.Intent(ctx, marker)
	switch {
	case errors.Is(err, registry.ErrNotFound) || err == nil && i.Outcome != "":
		return &RefusalError{Status: http.StatusNotFound, Detail: "there is no such interrupted operation; GET /intents lists them"}
	case err != nil:
		return fromStore(err)
	case i.Operation != registry.Create || i.Application.ClientID != "":
		return conflict("this operation ends by itself as soon as the provider answers; only the creation of a client that nobody can look up is forgotten")
	}
	i, err = s.Store.Take(ctx, marker, s.newID(), s.now().Add(lease))
	if err != nil {
		return fromStore(err)
	}
	return fromStore(s.complete(ctx, registry.Completion{
		Intent: i, Outcome: registry.Undone, Audits: []registry.Audit{audit(c.Subject, "creation.forgotten", i.Application)},
	}))
}

func (c Caller) administrator() error {
	if !c.Admin || c.Subject == "" {
		return forbidden("this needs the scope gatehouse:admin")
	}
	return nil
}

// intentAnswer is an interrupted operation as administrators see it.
type intentAnswer struct {
	Marker      string             `json:"marker"`
	Operation   registry.Operation `json:"operation"`
	Provider    string             `json:"provider"`
	Application string             `json:"application"`
	ClientID    string             `json:"client_id,omitempty"`
	Name        string             `json:"client_name"` // as the provider knows it
	Created     time.Time          `json:"created"`
}

func (s *Service) listIntents(w http.ResponseWriter, r *http.Request, c Caller) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	all, next, err := s.Interrupted(r.Context(), c, page)
	if err != nil {
		return err
	}
	answers := make([]intentAnswer, len(all))
	for n, i := range all {
		answers[n] = intentAnswer{
			Marker: i.Marker, Operation: i.Operation, Provider: i.Application.Provider, Application: i.Application.ID,
			ClientID: i.Application.ClientID, Name: clientName(i.Application), Created: i.Created,
		}
	}
	web.JSON(w, http.StatusOK, map[string]any{"intents": answers, "next": next})
	return nil
}

func (s *Service) deleteIntent(w http.ResponseWriter, r *http.Request, c Caller) error {
	if err := s.Forget(r.Context(), c, r.PathValue("marker")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
