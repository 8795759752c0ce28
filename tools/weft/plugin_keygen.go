package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/plugins/sign"
)

func pluginKeygenCommand(sys system) *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Makes a key to sign plugins with",
		Long: `Makes an ed25519 key: NAME.pem, the private half, which only you can read and which signs, and NAME.pub.pem, the public
half, which goes to those who are to trust it. Neither replaces a file that is there.`,
		Example: `weft plugin keygen --out release
weft plugin sign --key release.pem limiter.wasm
weft plugin verify --key release.pub.pem limiter.wasm

In the configuration:
  trust: {keys: [release.pub.pem], require: true}`,
		Args: arguments(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usageError("--out is missing: expected the name of the key's files")
			}
			made, err := keygen(out)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(made)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n  private  %s   keep it to yourself\n  public   %s\n", made.ID, made.Private, made.Public)
			note(cmd, "next: %s plugin sign --key %s PLUGIN.wasm", sys.program, quoted(made.Private))
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&out, "out", "", "`NAME` of the files: NAME.pem and NAME.pub.pem")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// madeKey is what --json prints about a new key.
type madeKey struct {
	ID      string `json:"id"`
	Private string `json:"private"`
	Public  string `json:"public"`
}

func keygen(name string) (madeKey, error) {
	name = strings.TrimSuffix(name, ".pem")
	made := madeKey{Private: name + ".pem", Public: name + ".pub.pem"}
	key, err := sign.Generate(rand.Reader)
	if err != nil {
		return made, err
	}
	public, _ := key.Public().(ed25519.PublicKey)
	made.ID = sign.KeyID(public)
	privateText, err := sign.EncodePrivate(key)
	if err != nil {
		return made, err
	}
	publicText, err := sign.EncodePublic(public)
	if err != nil {
		return made, err
	}
	if err := writeNew(made.Private, privateText, 0o600); err != nil {
		return made, err
	}
	if err := writeNew(made.Public, publicText, 0o600); err != nil {
		return made, errors.Join(err, os.Remove(made.Private))
	}
	return made, nil
}

// writeNew writes a file that is not there yet.
func writeNew(file string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fail(exitRuntime, fmt.Errorf("%s exists", file), "Choose another --out: a key that is gone cannot be had again.")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
