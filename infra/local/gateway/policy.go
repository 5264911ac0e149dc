package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"gatehouse/infra/local/iam"
	"gatehouse/infra/local/samtemplate"
)

// compilePolicy reads the resource policy of api, in which a Resource may leave
// out what all ARNs of the API begin with.
func compilePolicy(api samtemplate.API, arn string) (*iam.Policy, error) {
	if api.ResourcePolicy == nil {
		return nil, nil //nolint:nilnil // without a policy nobody is asked
	}
	whole := bytes.ReplaceAll(api.ResourcePolicy, []byte(`"execute-api:/`), []byte(`"`+arn))
	policy, err := iam.ParseResource(whole)
	if err != nil {
		return nil, fmt.Errorf("resource policy: %w", err)
	}
	return policy, nil
}

// asResource asks the resource policy what can be told before an authorizer is
// asked: what it denies, and on a route without one what it does not allow.
func (g *Gateway) asResource(q *request) *refusal {
	if g.policy == nil {
		return nil
	}
	q.resource = g.policy.Evaluate("execute-api:Invoke", g.methodARN(q), q.conditions())
	g.trace.step(q, "the resource policy: %s", q.resource)
	if q.resource == iam.ExplicitDeny {
		return g.anonymous(q, " with an explicit deny")
	}
	if q.resource != iam.Allow && (q.route.authorizer == nil || g.cfg.Open) {
		return g.anonymous(q, "")
	}
	return nil
}

// together makes one verdict of the authorizer's, which is no denial, and the
// resource policy's, which is none either.
func (g *Gateway) together(q *request, authorizer iam.Verdict) *refusal {
	one, both := authorizer == iam.Allow, authorizer == iam.Allow
	if g.policy != nil {
		one, both = one || q.resource == iam.Allow, both && q.resource == iam.Allow
	}
	if both || one && !g.cfg.Unsettled.BothPoliciesAllow {
		return nil
	}
	return &notAllowed
}

// anonymous is the refusal of a resource policy.
func (g *Gateway) anonymous(q *request, how string) *refusal {
	account := g.cfg.AccountID
	arn := strings.Replace(g.methodARN(q), account, "********"+account[max(0, len(account)-4):], 1)
	return &refusal{
		responseType: "ACCESS_DENIED", errorType: "AccessDeniedException", status: http.StatusForbidden,
		message: "User: anonymous is not authorized to perform: execute-api:Invoke on resource: " + arn + how,
	}
}
