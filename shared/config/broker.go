package config

import "time"

// Broker says how Gatehouse is an authorization server in front of the
// providers.
type Broker struct {
	// Keys names the secret {"current", "previous"} that codes and refresh tokens
	// are sealed with and client secrets are recognised by; see secret.Keys. "":
	// there is no broker.
	Keys string `yaml:"keys" example:"arn:aws:secretsmanager:eu-west-1:123456789012:secret:gatehouse-broker-keys-AbCdEf"`

	// ClientMetadata lets in clients that nobody has registered and whose
	// client_id is the URL of their metadata (Client ID Metadata Documents). They
	// are registered at the provider of registration.dynamic.
	ClientMetadata bool `yaml:"clientMetadata"`

	// CacheClientCredentials is how long a token that a client got for itself is
	// given to it again; 0, when the file is silent: never.
	CacheClientCredentials time.Duration `yaml:"cacheClientCredentials" min:"1s" max:"5m"`
}

// Brokers reports whether there is an authorization server of Gatehouse's own.
func (c *Config) Brokers() bool { return c.Broker.Keys != "" }

func (d *decoder) checkBroker(cfg *Config) {
	d.checkSecretName("broker.keys", cfg.Broker.Keys)
	if !cfg.Brokers() {
		if cfg.Broker.ClientMetadata {
			d.warn("broker.clientMetadata", "has no effect without broker.keys")
		}
		return
	}
	switch {
	case !cfg.Registers():
		d.problem("broker.keys", "needs registration.keys, too: the broker serves applications that are registered")
	case cfg.Broker.Keys == cfg.Registration.Keys:
		d.problem("broker.keys", "is registration.keys; the broker must not open what the registration seals: give it keys of its own")
	}
	if cfg.Broker.ClientMetadata && cfg.Registration.Dynamic.Provider == "" {
		d.problem("broker.clientMetadata", "needs registration.dynamic.provider, where such clients are registered")
	}
}
