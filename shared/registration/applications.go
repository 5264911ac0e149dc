package registration

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"gatehouse/shared/registry"
	"gatehouse/shared/strictjson"
	"gatehouse/shared/web"
)

// This file is the part of the API that signed-in callers use.

func (s *Service) postApplication(w http.ResponseWriter, r *http.Request, c Caller) error {
	req := Request{Key: r.Header.Get("Idempotency-Key")}
	err := readBody(r, func(d *strictjson.Decoder, name string) error {
		switch name {
		case "provider":
			return readText(d, name, &req.Provider)
		case "contracts":
			if d.Kind() != strictjson.Array {
				return invalid(name, "is not an array of {api, tier, reason}; send one")
			}
			return d.Array(func() error {
				access, err := readAccess(d)
				req.Access = append(req.Access, access)
				return err
			})
		}
		known, err := req.Metadata.member(d, name)
		if !known {
			return unknownMember(name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if req.Provider == "" {
		req.Provider = s.onlyRegistrar()
	}
	done, err := s.Register(r.Context(), c, req)
	if err != nil {
		return err
	}
	answer := answerForOwner(done.Application, done.Secret.Reveal())
	answer.Contracts = answerForContracts(done.Contracts)
	w.Header().Set("Location", s.base(r.Context())+"/applications/"+url.PathEscape(done.Application.ID))
	web.JSON(w, http.StatusCreated, answer)
	return nil
}

// onlyRegistrar is the name of the provider where clients are registered, "" if
// there are several.
func (s *Service) onlyRegistrar() string {
	name := ""
	for _, p := range s.Providers {
		switch {
		case !p.Capabilities().Create:
		case name != "":
			return ""
		default:
			name = p.Name
		}
	}
	return name
}

func readAccess(d *strictjson.Decoder) (Access, error) {
	var access Access
	err := d.Object(func(name []byte) error { return access.member(d, string(name)) })
	return access, err
}

func (a *Access) member(d *strictjson.Decoder, name string) error {
	switch name {
	case "api":
		return readText(d, name, &a.API)
	case "tier":
		return readText(d, name, &a.Tier)
	case "reason":
		return readText(d, name, &a.Reason)
	default:
		return unknownMember(name)
	}
}

func (s *Service) listApplications(w http.ResponseWriter, r *http.Request, c Caller) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	all, next, err := s.List(r.Context(), c, page)
	if err != nil {
		return err
	}
	answers := make([]applicationAnswer, len(all))
	for n, a := range all {
		answers[n] = answerForOwner(a, "")
	}
	web.JSON(w, http.StatusOK, map[string]any{"applications": answers, "next": next})
	return nil
}

func (s *Service) getApplication(w http.ResponseWriter, r *http.Request, c Caller) error {
	a, err := s.Read(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, answerForOwner(a, ""))
	return nil
}

// patchApplication changes the members that are sent (RFC 7396); null resets.
func (s *Service) patchApplication(w http.ResponseWriter, r *http.Request, c Caller) error {
	a, err := s.Read(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	m := metadataOf(a)
	err = readBody(r, func(d *strictjson.Decoder, name string) error {
		known, err := m.member(d, name)
		if !known {
			return unknownMember(name)
		}
		return err
	})
	if err != nil {
		return err
	}
	changed, err := s.update(r.Context(), c.Subject, a, m)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, answerForOwner(changed.Application, changed.Secret.Reveal()))
	return nil
}

func (s *Service) deleteApplication(w http.ResponseWriter, r *http.Request, c Caller) error {
	if err := s.Delete(r.Context(), c, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) postSecret(w http.ResponseWriter, r *http.Request, c Caller) error {
	changed, err := s.RotateSecret(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	answer := answerForOwner(changed.Application, changed.Secret.Reveal())
	switch {
	case !changed.OldSecretUntil.IsZero():
		answer.OldSecret = "works until " + changed.OldSecretUntil.UTC().Format(time.RFC3339)
	case changed.TwoSecrets:
		answer.OldSecret = "works until the next rotation"
	default:
		answer.OldSecret = "stopped working at " + s.now().UTC().Format(time.RFC3339)
	}
	web.JSON(w, http.StatusOK, answer)
	return nil
}

// deletePreviousSecret ends the secret that the last rotation replaced.
func (s *Service) deletePreviousSecret(w http.ResponseWriter, r *http.Request, c Caller) error {
	if err := s.RetireSecret(r.Context(), c, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) listAudits(w http.ResponseWriter, r *http.Request, c Caller) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	all, next, err := s.Audits(r.Context(), c, r.PathValue("id"), page)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, map[string]any{"audits": append([]registry.Audit{}, all...), "next": next})
	return nil
}

func (s *Service) postContract(w http.ResponseWriter, r *http.Request, c Caller) error {
	var access Access
	if err := readBody(r, access.member); err != nil {
		return err
	}
	contract, err := s.RequestAccess(r.Context(), c, r.PathValue("id"), access)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusCreated, answerForContract(contract))
	return nil
}

func (s *Service) listContracts(w http.ResponseWriter, r *http.Request, c Caller) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	all, next, err := s.Contracts(r.Context(), c, r.PathValue("id"), page)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, map[string]any{"contracts": answerForContracts(all), "next": next})
	return nil
}

func (s *Service) deleteContract(w http.ResponseWriter, r *http.Request, c Caller) error {
	if err := s.Withdraw(r.Context(), c, r.PathValue("id"), r.PathValue("api")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// apiAnswer is an API as the catalogue shows it.
type apiAnswer struct {
	Name      string   `json:"name"`
	Resource  string   `json:"resource,omitempty"`
	Providers []string `json:"providers"`
	Tiers     []Tier   `json:"tiers"`
	Scopes    []string `json:"scopes"`
	Routes    []Route  `json:"routes"`
}

func (a API) answer() apiAnswer {
	scopes := a.scopes()
	slices.Sort(scopes)
	return apiAnswer{
		Name: a.Name, Resource: a.Resource, Providers: list(a.Providers), Tiers: append([]Tier{}, a.Tiers...),
		Scopes: list(slices.Compact(scopes)), Routes: append([]Route{}, a.Routes...),
	}
}

func (s *Service) listAPIs(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	all := make([]apiAnswer, len(s.APIs))
	for n, a := range s.APIs {
		all[n] = a.answer()
	}
	web.JSON(w, http.StatusOK, map[string]any{"apis": all})
	return nil
}

func (s *Service) getAPI(w http.ResponseWriter, r *http.Request, _ Caller) error {
	a, ok := s.api(r.PathValue("api"))
	if !ok {
		return noAPI()
	}
	web.JSON(w, http.StatusOK, a.answer())
	return nil
}

func (s *Service) listRequests(w http.ResponseWriter, r *http.Request, c Caller) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	all, next, err := s.Requests(r.Context(), c, r.PathValue("api"), registry.Status(r.URL.Query().Get("status")), page)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, map[string]any{"contracts": s.introduced(r.Context(), all), "next": next})
	return nil
}

// introduced are contracts with whose they are: nobody decides about a client id.
// An application that is gone meanwhile, or cannot be read, stays without a name.
func (s *Service) introduced(ctx context.Context, contracts []registry.Contract) []contractAnswer {
	all := answerForContracts(contracts)
	var wg sync.WaitGroup
	for n := range all {
		wg.Go(func() {
			if a, err := s.Store.Application(ctx, all[n].Application); err == nil {
				all[n].Name, all[n].Owner = a.Name, a.Owner
			}
		})
	}
	wg.Wait()
	return all
}

func (s *Service) patchRequest(w http.ResponseWriter, r *http.Request, c Caller) error {
	decision := Decision{API: r.PathValue("api"), ClientID: r.PathValue("client_id"), Provider: r.URL.Query().Get("provider")}
	err := readBody(r, func(d *strictjson.Decoder, name string) error {
		switch name {
		case "status":
			return readText(d, name, (*string)(&decision.Status))
		case "tier":
			return readText(d, name, &decision.Tier)
		case "reason":
			return readText(d, name, &decision.Reason)
		default:
			return unknownMember(name)
		}
	})
	if err != nil {
		return err
	}
	contract, err := s.Decide(r.Context(), c, decision)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, answerForContract(contract))
	return nil
}
