package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/configs"
	"github.com/weftrun/weft/runtime/config"
	"github.com/weftrun/weft/tools/load"
)

func tokenCommand(system) *cobra.Command {
	var (
		key, subject string
		subscribe    []string
		ttl          time.Duration
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Signs a token for the jwt-auth plugin (HS256)",
		Long: `Signs a JSON Web Token by HS256, as the jwt-auth plugin takes it in the first frame of a connection.

Without --key it is signed with the built-in example's key, which everybody knows.`,
		Example: `weft token --subject truck-7
weft token --subject truck-7 --subscribe 'truck/truck-7/#' --ttl 1h --key "$KEY"
weft send --preface "$(weft token --subject truck-7)" --type event '{"truck":"truck-7","temp":4.2}'`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if subject == "" {
				return usageError("--subject is missing: whom is the token for?")
			}
			if ttl < 0 {
				return usageError("--ttl %s: expected a positive duration, or 0 for ever", ttl)
			}
			if key == "" {
				demo, err := demoKey()
				if err != nil {
					return err
				}
				key = demo
			}
			token, err := mint(key, subject, subscribe, ttl)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&subject, "subject", "", "`IDENTITY` of the bearer")
	f.StringArrayVar(&subscribe, "subscribe", nil, "`PATTERN` to which the session is subscribed (repeatable)")
	f.DurationVar(&ttl, "ttl", time.Hour, "how long it is valid; 0: for ever")
	f.StringVar(&key, "key", "", "shared `SECRET`; none: that of the built-in example")
	return cmd
}

func mint(key, subject string, subscribe []string, ttl time.Duration) (string, error) {
	claims := load.Claims{Subject: subject, Subscribe: subscribe}
	if ttl > 0 {
		claims.Expires = time.Now().Add(ttl).Unix()
	}
	return load.Token([]byte(key), claims)
}

// demoKey is the key of the built-in example.
func demoKey() (string, error) {
	cfg, err := config.Load(config.Options{File: builtIn, Data: configs.Default})
	if err != nil {
		return "", fmt.Errorf("reading the built-in example: %w", err)
	}
	return keyOf(cfg)
}

// keyOf is the key with which a configuration's jwt-auth plugin checks tokens.
func keyOf(cfg *config.Config) (string, error) {
	for _, p := range cfg.Plugins {
		if name, ok := p.Std(); !ok || name != "jwt-auth" {
			continue
		}
		var c struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal([]byte(p.Config), &c); err != nil {
			return "", fmt.Errorf("reading the jwt-auth plugin's configuration: %w", err)
		}
		return c.Key, nil
	}
	return "", fmt.Errorf("the built-in example has no jwt-auth plugin")
}
