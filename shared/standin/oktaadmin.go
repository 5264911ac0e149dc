package standin

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// This file is the part of Okta's management API, /api/v1, that a registered
// client needs: groups, secrets, access policies.

func (s *Server) oktaGroups(w http.ResponseWriter, r *http.Request, _ *authServer) {
	names := []string{everyone}
	for _, u := range s.users {
		names = append(names, u.Groups...)
	}
	slices.Sort(names)
	found := []map[string]any{}
	for _, name := range slices.Compact(names) {
		kind := "OKTA_GROUP"
		if name == everyone {
			kind = "BUILT_IN"
		}
		if filter := r.URL.Query().Get("filter"); filter != "" && filter != `type eq "`+kind+`"` {
			continue
		}
		if strings.HasPrefix(name, r.URL.Query().Get("q")) {
			found = append(found, map[string]any{"id": oktaID("00g", name), "type": kind, "profile": map[string]any{"name": name}})
		}
	}
	writeJSON(w, http.StatusOK, found)
}

func (s *Server) oktaAssignGroup(w http.ResponseWriter, r *http.Request, _ *authServer) {
	names := []string{everyone}
	for _, u := range s.users {
		names = append(names, u.Groups...)
	}
	group := r.PathValue("group")
	i := slices.IndexFunc(names, func(name string) bool { return oktaID("00g", name) == group })
	if i < 0 {
		s.vendor.refuse(w, refusal{reason: notFound})
		return
	}
	err := s.clients.edit(r.PathValue("id"), func(c *registered) error {
		if !slices.Contains(c.Groups, names[i]) {
			c.Groups = append(slices.Clone(c.Groups), names[i])
		}
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": group, "priority": 0})
}

// oktaSecrets lists the secrets of a client or adds one; there are two at most.
func (s *Server) oktaSecrets(w http.ResponseWriter, r *http.Request, _ *authServer) {
	var answer any
	err := s.clients.edit(r.PathValue("id"), func(c *registered) error {
		if r.Method == http.MethodGet {
			list := []map[string]any{}
			for _, secret := range c.secrets {
				list = append(list, secret.document())
			}
			answer = list
			return nil
		}
		if c.secrets == nil || len(c.secrets) == 2 {
			return refusal{reason: invalidInput, detail: "You've reached the maximum number of client secrets per client."}
		}
		value := random()[:40]
		added := clientSecret{id: oktaID("ocs", value), value: value, active: true, created: s.now()}
		c.secrets = append(slices.Clone(c.secrets), added)
		document := added.document()
		document["client_secret"] = value
		answer = document
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusCreated
	}
	writeJSON(w, status, answer)
}

func (c clientSecret) document() map[string]any {
	status := "INACTIVE"
	if c.active {
		status = "ACTIVE"
	}
	created := c.created.UTC().Format(time.RFC3339)
	return map[string]any{"id": c.id, "status": status, "created": created, "lastUpdated": created, "secret_hash": oktaID("", c.value)}
}

func (s *Server) oktaDeactivateSecret(w http.ResponseWriter, r *http.Request, _ *authServer) {
	var answer map[string]any
	err := s.editSecret(r, func(c *registered, i int) error {
		others := slices.Delete(slices.Clone(c.secrets), i, i+1)
		if !slices.ContainsFunc(others, func(o clientSecret) bool { return o.active }) {
			return refusal{reason: invalidInput, detail: "You can't deactivate the only active client secret."}
		}
		c.secrets = slices.Clone(c.secrets)
		c.secrets[i].active = false
		answer = c.secrets[i].document()
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) oktaDeleteSecret(w http.ResponseWriter, r *http.Request, _ *authServer) {
	err := s.editSecret(r, func(c *registered, i int) error {
		if c.secrets[i].active {
			return refusal{reason: invalidInput, detail: "You can't delete an active client secret."}
		}
		c.secrets = slices.Delete(slices.Clone(c.secrets), i, i+1)
		return nil
	})
	if err != nil {
		s.vendor.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// editSecret calls change with the client and the place of the secret that r's
// path names.
func (s *Server) editSecret(r *http.Request, change func(c *registered, i int) error) error {
	return s.clients.edit(r.PathValue("id"), func(c *registered) error {
		i := slices.IndexFunc(c.secrets, func(o clientSecret) bool { return o.id == r.PathValue("secret") })
		if i < 0 {
			return refusal{reason: notFound}
		}
		return change(c, i)
	})
}

// oktaPolicies shows what AuthorizationServer.Clients says as one access policy,
// or none where the list is there and empty.
func (*Server) oktaPolicies(w http.ResponseWriter, _ *http.Request, as *authServer) {
	include := as.Clients
	if include == nil {
		include = []string{"ALL_CLIENTS"}
	}
	policies := []map[string]any{}
	if len(include) > 0 {
		policies = append(policies, map[string]any{
			"id": oktaID("00p", as.ID), "type": "OAUTH_AUTHORIZATION_POLICY", "status": "ACTIVE", "name": "Default Policy",
			"priority": 1, "system": false, "conditions": map[string]any{"clients": map[string]any{"include": include}},
		})
	}
	writeJSON(w, http.StatusOK, policies)
}

// oktaRules shows one rule, which allows every grant type and scope there is.
func (s *Server) oktaRules(w http.ResponseWriter, r *http.Request, as *authServer) {
	if r.PathValue("policy") != oktaID("00p", as.ID) {
		s.vendor.refuse(w, refusal{reason: notFound})
		return
	}
	writeJSON(w, http.StatusOK, []map[string]any{{
		"id": oktaID("0pr", as.ID), "type": "RESOURCE_ACCESS", "status": "ACTIVE", "name": "Default Policy Rule", "priority": 1,
		"conditions": map[string]any{
			"people":     map[string]any{"groups": map[string]any{"include": []string{"EVERYONE"}}},
			"grantTypes": map[string]any{"include": []string{AuthorizationCode, ClientCredentials, "implicit", "password"}},
			"scopes":     map[string]any{"include": []string{"*"}},
		},
		"actions": map[string]any{"token": map[string]any{"accessTokenLifetimeMinutes": 60}},
	}})
}
