package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// faultRequest is a [Fault] as it is posted to /_standin/faults. Durations are
// strings such as "250ms".
type faultRequest struct {
	Endpoint Endpoint          `json:"endpoint"`
	Status   int               `json:"status"`
	Header   map[string]string `json:"header"`
	Body     string            `json:"body"`
	Size     int64             `json:"size"`
	Gzip     bool              `json:"gzip"`
	Redirect string            `json:"redirect"`
	Delay    string            `json:"delay"`
	Drip     string            `json:"drip"`
	Cut      Cut               `json:"cut"`
	Times    int               `json:"times"`
}

// controlRoutes serves what breaks and mends the server over HTTP.
func (s *Server) controlRoutes() {
	// A page in a browser must not break the laptop's server behind its back.
	local := http.NewCrossOriginProtection()
	for pattern, serve := range map[string]http.HandlerFunc{
		"POST /_standin/faults":           s.setFault,
		"DELETE /_standin/faults":         s.clearFaults,
		"POST /_standin/rotate-keys":      s.rotateKeys,
		"POST /_standin/drop-old-keys":    s.dropOldKeys,
		"POST /_standin/revoke-api-token": s.revokeAPIToken,
		"GET /_standin/requests":          s.showRequests,
	} {
		s.mux.Handle(pattern, local.Handler(serve))
	}
}

func (s *Server) setFault(w http.ResponseWriter, r *http.Request) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	var req faultRequest
	err := d.Decode(&req)
	if err == nil && !errors.Is(d.Decode(&struct{}{}), io.EOF) {
		err = errors.New("the body holds more than one JSON value")
	}
	var f Fault
	if err == nil {
		f, err = req.fault()
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	s.Break(req.Endpoint, f)
	w.WriteHeader(http.StatusNoContent)
}

// fault returns the fault that r describes.
func (r faultRequest) fault() (Fault, error) {
	if !slices.Contains(kinds(), r.Endpoint) && !strings.HasPrefix(string(r.Endpoint), "/") {
		return Fault{}, fmt.Errorf("endpoint is %q; want a path or one of %v", r.Endpoint, kinds())
	}
	if r.Cut != NoCut && r.Cut != BeforeHeaders && r.Cut != AfterEffect && r.Cut != AfterHeaders {
		return Fault{}, fmt.Errorf("cut is %q; want %s, %s or %s", r.Cut, BeforeHeaders, AfterEffect, AfterHeaders)
	}
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		return Fault{}, fmt.Errorf("status is %d; want 200 to 599", r.Status)
	}
	if r.Times < 0 || r.Size < 0 {
		return Fault{}, errors.New("times or size is negative; leave it out")
	}
	delay, err := duration("delay", r.Delay)
	if err != nil {
		return Fault{}, err
	}
	drip, err := duration("drip", r.Drip)
	if err != nil {
		return Fault{}, err
	}
	return Fault{
		Status:   r.Status,
		Header:   r.Header,
		Body:     r.Body,
		Size:     r.Size,
		Gzip:     r.Gzip,
		Redirect: r.Redirect,
		Delay:    delay,
		Drip:     drip,
		Cut:      r.Cut,
		Times:    r.Times,
	}, nil
}

func duration(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s is %q; want a duration such as 250ms", name, text)
	}
	return d, nil
}

func (s *Server) clearFaults(w http.ResponseWriter, _ *http.Request) {
	s.Mend()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) rotateKeys(w http.ResponseWriter, _ *http.Request) {
	if err := s.RotateKeys(); err != nil {
		s.vendor.refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) dropOldKeys(w http.ResponseWriter, _ *http.Request) {
	s.DropOldKeys()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) revokeAPIToken(w http.ResponseWriter, _ *http.Request) {
	s.SetAPIToken("")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) showRequests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.allCounts())
}
