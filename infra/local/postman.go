package main

import (
	"fmt"
	"os"

	"gatehouse/infra/local/postman"
)

// postmanCommand writes what Postman imports: a collection made of the OpenAPI
// documents, and an environment for the system as it runs here by default.
type postmanCommand struct {
	Dir          string `help:"Folder of the collection and the environment." default:"infra/postman"`
	Registration string `help:"OpenAPI document of the registration API." default:"shared/registration/openapi.yaml"`
	Broker       string `help:"OpenAPI document of the authorization server." default:"shared/broker/openapi.yaml"`
}

// Run implements the command.
func (c *postmanCommand) Run(s stage) error {
	dir, err := os.OpenRoot(c.Dir)
	if err != nil {
		return fmt.Errorf("postman: %w", err)
	}
	defer dir.Close()
	collection, err := postman.Collection(postman.Documents{Registration: c.Registration, Broker: c.Broker})
	if err != nil {
		return err
	}
	environment, err := postman.Environment(postmanValues(&system{
		REST: "http://localhost:8080/v1", HTTP: "http://localhost:8081", IDP: "http://localhost:8082", Own: "http://localhost:8083",
	}))
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{postman.CollectionFile: collection, postman.EnvironmentFile: environment} {
		if err := dir.WriteFile(name, text, 0o644); err != nil {
			return fmt.Errorf("postman: %w", err)
		}
	}
	_, err = fmt.Fprintf(s.out, "%s and %s are written to %s.\n", postman.CollectionFile, postman.EnvironmentFile, c.Dir)
	return err
}

// postmanValues are those of the cast of the walk-through. Their secrets are the
// stand-in's, which everybody knows.
func postmanValues(s *system) postman.Values {
	owner := postman.Client{ID: ownerID, Secret: ownerSecret}
	return postman.Values{
		Name: "Gatehouse: make run", Gatehouse: s.Own, REST: s.REST, HTTP: s.HTTP, ProviderToken: s.tokenURL(),
		Developer: postman.Client{ID: developerID, Secret: developerSecret}, Owner: owner, Admin: owner,
		Username: userLogin, Password: userPassword, Profile: "strict", SelfRegistration: "off",
	}
}
